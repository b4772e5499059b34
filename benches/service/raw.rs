//! The client of NATS alone: it fills streams, and reads them with acknowledgements in batches.

use crate::launcher::NatsServer;
use async_nats::jetstream::{
    self, Context,
    consumer::{AckPolicy, DeliverPolicy, pull},
};
use futures_util::StreamExt;
use std::time::{Duration, Instant};

/// Messages that are published together.
const TOGETHER: usize = 500;

/// Messages that are asked for, and acknowledged, together.
pub(crate) const ASKED: [usize; 2] = [500, 2000];

/// A client of the server.
pub(crate) async fn context(server: &NatsServer) -> Context {
    let client = async_nats::connect(server.url()).await.expect("connects");
    jetstream::new(client)
}

pub(crate) fn stream(partition: usize) -> String {
    format!("tripline-events-{partition}")
}

pub(crate) fn subject(partition: usize) -> String {
    format!("tripline.events.{partition}")
}

/// Publishes events and waits until all are acknowledged.
pub(crate) async fn fill(context: &Context, partition: usize, events: &[Vec<u8>]) {
    for chunk in events.chunks(TOGETHER) {
        let mut waiting = Vec::with_capacity(chunk.len());
        for event in chunk {
            let sent = context.publish(subject(partition), event.clone().into());
            waiting.push(sent.await.expect("sends"));
        }
        for one in waiting {
            one.await.expect("acknowledged");
        }
    }
}

/// A consumer of a stream, whose acknowledgements count for all messages before.
pub(crate) async fn consumer(
    context: &Context,
    partition: usize,
    deliver_policy: DeliverPolicy,
    asked: usize,
) -> pull::Stream {
    let config = pull::Config {
        ack_policy: AckPolicy::All,
        deliver_policy,
        max_ack_pending: 20_000,
        memory_storage: true,
        ..pull::Config::default()
    };
    let made = context.create_consumer_on_stream(config, stream(partition));
    let consumer = made.await.expect("a consumer");
    let stream = consumer.stream().max_messages_per_batch(asked);
    stream.messages().await.expect("messages")
}

/// Reads so many messages and acknowledges each batch; how long that took.
pub(crate) async fn consume(
    context: &Context,
    partition: usize,
    count: usize,
    asked: usize,
) -> Duration {
    let mut messages = consumer(context, partition, DeliverPolicy::All, asked).await;
    let begun = Instant::now();
    let mut bytes = 0;
    for number in 1..=count {
        let message = messages.next().await.expect("more").expect("a message");
        bytes += message.payload.len();
        if number % asked == 0 || number == count {
            message.ack().await.expect("acknowledged");
        }
    }
    assert!(bytes > count, "they have bytes");
    begun.elapsed()
}

//! The floor under channels on NATS: bare publishes with the client that the service uses, each batch awaited until the server has
//! acknowledged all of it.

use crate::figures::Figures;
use async_nats::jetstream::{self, stream::Config};
use bytes::Bytes;
use futures_util::future::try_join_all;
use std::future::IntoFuture;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

const SUBJECT: &str = "bare.events";

/// Connections to a server, and a stream of our own on it.
pub(crate) struct Bare {
    runtime: Runtime,
    url: String,
}

impl Bare {
    pub(crate) fn new(url: String) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build();
        let bare = Self {
            runtime: runtime.expect("threads"),
            url,
        };
        bare.runtime.block_on(async {
            let config = Config {
                name: "bare".to_owned(),
                subjects: vec![SUBJECT.to_owned()],
                ..Config::default()
            };
            let made = bare.jetstream().await.create_stream(config).await;
            made.expect("a stream");
        });
        bare
    }

    async fn jetstream(&self) -> jetstream::Context {
        let client = async_nats::connect(&self.url).await;
        jetstream::new(client.expect("it connects"))
    }

    /// Publishes; each sender has a connection of its own and sends its batches one after the other.
    pub(crate) fn push(&self, (senders, requests): (usize, usize), batch: &[Bytes]) -> Figures {
        let each = requests / senders;
        let figures = self.runtime.block_on(async {
            let mut contexts = Vec::new();
            for _ in 0..senders {
                contexts.push(self.jetstream().await);
            }
            let begun = Instant::now();
            let tasks: Vec<_> = contexts
                .into_iter()
                .map(|context| {
                    let batch = batch.to_vec();
                    tokio::spawn(async move {
                        let mut times = Vec::with_capacity(each);
                        for _ in 0..each {
                            times.push(acknowledged(&context, &batch).await);
                        }
                        times
                    })
                })
                .collect();
            let mut times = Vec::new();
            for task in tasks {
                times.extend(task.await.expect("a sender ends"));
            }
            Figures::new(begun.elapsed(), times, batch.len())
        });
        self.runtime.block_on(async {
            let context = self.jetstream().await;
            let stream = context.get_stream("bare").await.expect("it is there");
            // So that it does not grow beyond what the server takes.
            stream.purge().await.expect("emptied");
        });
        figures
    }
}

async fn acknowledged(context: &jetstream::Context, batch: &[Bytes]) -> Duration {
    let begun = Instant::now();
    let mut waiting = Vec::with_capacity(batch.len());
    for event in batch {
        let sent = context.publish(SUBJECT, event.clone()).await;
        waiting.push(sent.expect("sent").into_future());
    }
    try_join_all(waiting).await.expect("acknowledged");
    begun.elapsed()
}

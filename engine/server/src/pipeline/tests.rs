use super::{Delivery, Flow, Resume, Sink, Worker, Workload, run};
use crate::input::reader::Batch;
use crate::input::resolve::Input;
use std::sync::Mutex;

/// Pieces after which a batch is left.
const PIECES_AT_ONCE: usize = 500;

/// Gives every record's text, after a delay that depends on it so that threads overtake each other.
struct Copy;

impl Worker for Copy {
    type Output = Vec<String>;

    fn work(
        &mut self,
        _input: usize,
        batch: &Batch,
        from: Resume,
    ) -> (Vec<String>, Option<Resume>) {
        let texts = batch
            .pieces
            .iter()
            .skip(from.piece)
            .take(PIECES_AT_ONCE)
            .map(|piece| &batch.buffer[piece.start..piece.end]);
        let texts: Vec<String> = texts
            .map(|text| String::from_utf8_lossy(text).into())
            .collect();
        let turns = texts.first().map_or(0, |text| text.len() % 3) * 10_000;
        std::hint::black_box((0..turns).map(|turn| turn.to_string().len()).sum::<usize>());
        let next = from.piece + texts.len();
        let left = (next < batch.pieces.len()).then(|| Resume::piece(next));
        (texts, left)
    }

    fn bytes(output: &Vec<String>) -> usize {
        // So much that reading ahead stops again and again.
        output.len() * 100_000
    }
}

#[derive(Default)]
struct Collected {
    lines: Vec<String>,
    stop_after: Option<usize>,
}

impl Sink<Vec<String>> for Collected {
    fn take(&mut self, delivery: Delivery<Vec<String>>) -> Flow {
        match delivery {
            Delivery::Output(input, texts) => {
                self.lines
                    .extend(texts.iter().map(|text| format!("{input} {text}")));
            }
            Delivery::End(input, fault) => {
                let fault = fault.map_or(String::new(), |fault| format!(" {fault}"));
                self.lines.push(format!("{input} end{fault}"));
            }
        }
        match self.stop_after {
            Some(lines) if self.lines.len() >= lines => Flow::Stop,
            _ => Flow::Continue,
        }
    }

    fn pause(&mut self) -> Flow {
        Flow::Continue
    }
}

fn inputs() -> Vec<Input> {
    (0..9)
        .map(|input| {
            let records = [3000, 0, 1, 20_000, 5][input % 5];
            let text: String = (0..records)
                .map(|record| {
                    format!(
                        "{{\"n\":{record},\"pad\":\"{}\"}}\n",
                        "x".repeat(record % 90)
                    )
                })
                .collect();
            Input::bundled("bundled", text.leak().as_bytes())
        })
        .collect()
}

fn collect(inputs: &[Input], threads: usize, stop_after: Option<usize>) -> Vec<String> {
    let sink = Mutex::new(Collected {
        lines: Vec::new(),
        stop_after,
    });
    let workload = Workload {
        inputs,
        threads,
        record_bytes_max: 1 << 20,
        bytes_read: Default::default(),
    };
    run(workload, || Copy, &sink, || Flow::Continue);
    sink.into_inner().map(|sink| sink.lines).unwrap_or_default()
}

#[test]
fn order_is_that_of_the_input_whatever_the_number_of_threads() {
    let inputs = inputs();
    let expected = collect(&inputs, 1, None);
    assert_eq!(expected.len(), 9 + 2 * (3000 + 1 + 20_000) + 5);
    for threads in [2, 3, 8] {
        assert_eq!(
            collect(&inputs, threads, None),
            expected,
            "{threads} threads"
        );
    }
}

#[test]
fn a_sink_that_has_enough_ends_the_run() {
    let lines = collect(&inputs(), 4, Some(10));
    assert!(lines.len() >= 10 && lines.len() < 10_000, "{}", lines.len());
}

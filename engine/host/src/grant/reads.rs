//! Questions to services, for plans. See `wit/reads.wit`.
//!
//! Whoever asks for a plan answers them, on its own thread, while the plugin runs on another: so what answers may be borrowed,
//! and a plugin holds nothing but a way to ask. The way ends with the call.

use super::limits::{READ_ANSWER_BYTES_MAX, READ_PARAMETERS_BYTES_MAX, READS_PER_CALL_MAX};
use super::{Fault, FaultKind};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

/// Answers a question, as `wit/reads.wit` has its answers: by operation and parameters. An error when there is no answer.
pub type Answering<'a> = dyn FnMut(&str, &str) -> Result<String, String> + 'a;

/// A question on its way.
pub(crate) struct Question {
    operation: String,
    parameters: String,
    answer: Sender<Result<String, String>>,
}

impl Question {
    /// Answers it.
    pub(crate) fn answer(self, answering: &mut Answering<'_>) {
        let answer = answering(&self.operation, &self.parameters);
        // Whoever asked may be out of time.
        let _ = self.answer.send(answer);
    }
}

/// The way to ask, in one call.
pub struct Asking {
    questions: Sender<Question>,
    asked: usize,
}

impl Asking {
    /// A way to ask, and where the questions come out, until the way is gone.
    pub(crate) fn new() -> (Self, Receiver<Question>) {
        let (questions, asked) = channel();
        let asking = Self {
            questions,
            asked: 0,
        };
        (asking, asked)
    }

    /// Asks, and waits at most so long.
    pub(super) fn read(
        &mut self,
        operation: &str,
        parameters: &str,
        left: Duration,
    ) -> Result<String, Fault> {
        if self.asked >= READS_PER_CALL_MAX {
            return Err(Fault::limit(format!(
                "more than {READS_PER_CALL_MAX} questions in one call"
            )));
        }
        self.asked += 1;
        if parameters.len() > READ_PARAMETERS_BYTES_MAX {
            return Err(Fault::limit(format!(
                "parameters of {} bytes",
                parameters.len()
            )));
        }
        type Object = serde_json::Map<String, serde_json::Value>;
        if serde_json::from_str::<Object>(parameters).is_err() {
            return Err(Fault::input("the parameters are no JSON object"));
        }
        let (answer, answered) = channel();
        let question = Question {
            operation: operation.to_owned(),
            parameters: parameters.to_owned(),
            answer,
        };
        let gone = || Fault::new(FaultKind::Unavailable, "nobody answers");
        self.questions.send(question).map_err(|_| gone())?;
        let answer = match answered.recv_timeout(left) {
            Ok(Ok(answer)) => answer,
            Ok(Err(why)) => return Err(Fault::new(FaultKind::Unavailable, why)),
            Err(RecvTimeoutError::Timeout) => {
                let message = "the call has no time left for the answer";
                return Err(Fault::new(FaultKind::Timeout, message));
            }
            Err(RecvTimeoutError::Disconnected) => return Err(gone()),
        };
        match answer.len() > READ_ANSWER_BYTES_MAX {
            true => Err(Fault::limit(format!("an answer of {} bytes", answer.len()))),
            false => Ok(answer),
        }
    }
}

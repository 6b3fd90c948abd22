//! HTTP/1.1, both ends.

use std::{cell::RefCell, collections::HashMap, io, rc::Rc};

use super::Talk;
use crate::wire;

/// A client that sends one GET at a time.
pub(crate) struct H1Client {
    request: Vec<u8>,
    /// The length that the answer's body must have.
    expected: usize,
    asked: Option<usize>,
    /// Of the answer's body; `None`: its head is not there yet.
    left: Option<usize>,
}

impl H1Client {
    /// For requests to a path with a body of `expected` bytes.
    pub(crate) fn new(path: &str, expected: usize) -> Self {
        Self {
            request: wire::request(path, "load"),
            expected,
            asked: None,
            left: None,
        }
    }

    /// The length of the head.
    fn head(&mut self, input: &[u8]) -> io::Result<Option<usize>> {
        let Some((head, body)) = wire::head_of_answer(input)? else {
            return Ok(None);
        };
        if body != self.expected {
            return Err(io::Error::other(format!(
                "a body of {body} bytes instead of {}",
                self.expected
            )));
        }
        self.left = Some(body);
        Ok(Some(head))
    }
}

impl Talk for H1Client {
    fn ask(&mut self, number: usize, output: &mut Vec<u8>) {
        self.asked = Some(number);
        output.extend_from_slice(&self.request);
    }

    fn hear(
        &mut self,
        input: &[u8],
        _output: &mut Vec<u8>,
        answered: &mut Vec<usize>,
    ) -> io::Result<usize> {
        let mut used = 0;
        if self.left.is_none() {
            match self.head(input)? {
                Some(head) => used = head,
                None => return Ok(0),
            }
        }
        let left = self.left.unwrap_or_default();
        let here = left.min(input.len() - used);
        used += here;
        if here < left {
            self.left = Some(left - here);
            return Ok(used);
        }
        if used < input.len() {
            return Err(io::Error::other("more came than the answer"));
        }
        self.left = None;
        answered.extend(self.asked.take());
        Ok(used)
    }
}

/// A server that answers each GET; how long the body is the path says (`/size/10000`), else [`wire::LENGTH`] bytes.
#[derive(Default)]
pub(super) struct H1Server {
    answers: Answers,
}

/// By the length of their bodies; shared by the connections of a server.
pub(super) type Answers = Rc<RefCell<HashMap<usize, Vec<u8>>>>;

impl H1Server {
    pub(super) fn new(answers: Answers) -> Self {
        Self { answers }
    }
}

impl Talk for H1Server {
    fn hear(
        &mut self,
        input: &[u8],
        output: &mut Vec<u8>,
        _answered: &mut Vec<usize>,
    ) -> io::Result<usize> {
        let mut used = 0;
        let mut answers = self.answers.borrow_mut();
        // Requests have no bodies.
        while let Some(end) = wire::end_of_head(&input[used..]) {
            let length = wire::wanted_length(&input[used..used + end]);
            let answer = answers.entry(length);
            output.extend_from_slice(answer.or_insert_with(|| wire::answer(length)));
            used += end;
        }
        Ok(used)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_in_pieces_is_heard_once_and_whole() {
        let (mut client, mut output) = (H1Client::new("/size/1000", 1000), Vec::new());
        client.ask(3, &mut output);
        let mut answer = Vec::new();
        H1Server::default()
            .hear(&output, &mut answer, &mut Vec::new())
            .unwrap();
        let (mut input, mut heard) = (Vec::new(), Vec::new());
        for piece in answer.chunks(37) {
            assert!(heard.is_empty());
            input.extend_from_slice(piece);
            let used = client.hear(&input, &mut output, &mut heard).unwrap();
            input.drain(..used);
        }
        assert_eq!(heard, [3]);
        assert!(input.is_empty());
    }

    #[test]
    fn another_length_or_status_than_expected_is_an_error() {
        let mut client = H1Client::new("/", 99);
        client.ask(0, &mut Vec::new());
        let error = client
            .hear(&wire::answer(100), &mut Vec::new(), &mut Vec::new())
            .unwrap_err();
        assert_eq!(error.to_string(), "a body of 100 bytes instead of 99");
        let refused = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n";
        let error = client
            .hear(refused, &mut Vec::new(), &mut Vec::new())
            .unwrap_err();
        assert_eq!(error.to_string(), "HTTP/1.1 503 Service Unavailable");
    }
}

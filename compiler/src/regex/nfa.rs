//! The tree as a threaded automaton with tags.

use super::parse::{ByteSet, Node};
use super::RegexError;

/// A state; numbers are places in [`Nfa::states`].
#[derive(Clone, Debug)]
pub enum State {
    Byte(ByteSet, usize),
    /// The first way is preferred.
    Split(usize, usize),
    /// Tag takes the present position.
    Tag(u32, usize),
    Start(usize),
    End(usize),
    Accept,
}

pub struct Nfa {
    pub states: Vec<State>,
    pub start: usize,
}

const MAX_STATES: usize = 4096;

/// Thompson's construction, from the end backwards.
pub fn build(ast: &Node, captures: bool) -> Result<Nfa, RegexError> {
    let mut nfa = Builder { states: vec![State::Accept], captures };
    let end = nfa.tag(1, 0)?;
    let body = nfa.node(ast, end)?;
    let start = nfa.tag(0, body)?;
    Ok(Nfa { states: nfa.states, start })
}

struct Builder {
    states: Vec<State>,
    captures: bool,
}

impl Builder {
    fn push(&mut self, state: State) -> Result<usize, RegexError> {
        if self.states.len() >= MAX_STATES {
            return Err(RegexError::TooLarge { what: "threads", limit: MAX_STATES });
        }
        self.states.push(state);
        Ok(self.states.len() - 1)
    }

    fn tag(&mut self, tag: u32, next: usize) -> Result<usize, RegexError> {
        if self.captures {
            self.push(State::Tag(tag, next))
        } else {
            Ok(next)
        }
    }

    /// States for `node` that go on at `next`; gives where they begin.
    fn node(&mut self, node: &Node, next: usize) -> Result<usize, RegexError> {
        match node {
            Node::Empty => Ok(next),
            Node::Bytes(set) => self.push(State::Byte(*set, next)),
            Node::Start => self.push(State::Start(next)),
            Node::End => self.push(State::End(next)),
            Node::Cat(list) => list.iter().rev().try_fold(next, |next, n| self.node(n, next)),
            Node::Alt(list) => {
                let mut begins = Vec::with_capacity(list.len());
                for n in list {
                    begins.push(self.node(n, next)?);
                }
                let mut at = begins.pop().unwrap_or(next);
                for begin in begins.into_iter().rev() {
                    at = self.push(State::Split(begin, at))?;
                }
                Ok(at)
            }
            Node::Group(n, inner) => {
                let close = self.tag(2 * *n as u32 + 1, next)?;
                let body = self.node(inner, close)?;
                self.tag(2 * *n as u32, body)
            }
            Node::Repeat { node, min, max } => self.repeat(node, *min, *max, next),
        }
    }

    fn repeat(&mut self, node: &Node, min: u32, max: Option<u32>, next: usize) -> Result<usize, RegexError> {
        let mut at = match max {
            None => {
                let head = self.push(State::Split(0, next))?;
                let body = self.node(node, head)?;
                self.states[head] = State::Split(body, next);
                head
            }
            Some(max) => {
                let mut at = next;
                for _ in min..max {
                    let body = self.node(node, at)?;
                    at = self.push(State::Split(body, next))?;
                }
                at
            }
        };
        for _ in 0..min {
            at = self.node(node, at)?;
        }
        Ok(at)
    }
}

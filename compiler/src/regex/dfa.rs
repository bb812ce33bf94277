//! The threaded automaton as a tagged DFA, and its words.
//!
//! A DFA state is the ordered list of live threads. Threads of one start
//! stand together (a group of threads); earlier starts come first, and within
//! a group the preferred thread. When a group accepts, later starts are cut
//! and no new ones begin: so the leftmost match wins, and going on finds the
//! longest.

use super::nfa::{Nfa, State};
use super::{RegexError, Tables};
use std::collections::HashMap;

const MAX_STATES: usize = 2048;
const MAX_WORDS: usize = 1 << 18;
/// `RX_MAX_CELLS` of `core/regex.h`.
const MAX_CELLS: usize = 1024;
const NONE: u32 = u32::MAX;
const HEADER_WORDS: usize = 6 + 64;
const STATE_WORDS: usize = 5;

/// A live thread: where it is, and whether it begins a group of threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Item {
    at: usize,
    first: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    items: Vec<Item>,
    /// A match was found: no new starts.
    closed: bool,
    /// Nothing was read yet.
    at_start: bool,
}

/// Where the items of a new state come from: item of the old one (`NONE`: a new start), tags set.
type Origins = Vec<(u32, u32)>;

struct Builder<'a> {
    nfa: &'a Nfa,
    keys: HashMap<Key, usize>,
    states: Vec<Key>,
}

pub fn build(nfa: &Nfa, groups: usize) -> Result<Tables, RegexError> {
    let tags = 2 * groups;
    let (classes, count, samples) = byte_classes(nfa);
    let mut b = Builder { nfa, keys: HashMap::new(), states: Vec::new() };

    let mut list = List::new(nfa.states.len());
    list.start_group();
    b.close(&mut list, nfa.start, NONE, 0, true);
    let (start, entry) = b.intern(list, false, true)?;

    let mut transitions: Vec<Vec<Option<(usize, Origins)>>> = Vec::new();
    let mut next = 0;
    while next < b.states.len() {
        let row = samples.iter().map(|byte| b.step(next, *byte)).collect::<Result<_, _>>()?;
        transitions.push(row);
        next += 1;
    }

    let mut words = vec![b.states.len() as u32, count as u32, tags as u32, start as u32, 0, 0];
    words.extend(classes.chunks(4).map(|c| c.iter().rev().fold(0, |w, class| w << 8 | u32::from(*class))));
    debug_assert_eq!(words.len(), HEADER_WORDS);
    for key in &b.states {
        if key.items.len() * tags > MAX_CELLS {
            return Err(RegexError::TooLarge { what: "tags at one time", limit: MAX_CELLS });
        }
        words[4] = words[4].max(key.items.len() as u32);
        words.push(key.items.len() as u32);
        for (item, set) in [b.accept(key, false), b.accept(key, true)] {
            words.extend([item, set]);
        }
    }
    let index = HEADER_WORDS + STATE_WORDS * b.states.len();
    words.resize(index + b.states.len() * count, 0);
    push_transition(&mut words, start, &entry);
    for (s, row) in transitions.iter().enumerate() {
        for (class, way) in row.iter().enumerate() {
            if let Some((to, origins)) = way {
                words[index + s * count + class] = words.len() as u32;
                push_transition(&mut words, *to, origins);
                if words.len() > MAX_WORDS {
                    return Err(RegexError::TooLarge { what: "table words", limit: MAX_WORDS });
                }
            }
        }
    }
    words[5] = words.len() as u32;
    Ok(Tables { words, states: b.states.len(), groups })
}

fn push_transition(words: &mut Vec<u32>, to: usize, origins: &Origins) {
    words.push(to as u32);
    words.extend(origins.iter().flat_map(|(item, set)| [*item, *set]));
}

/// Bytes that no set of the automaton tells apart share a class. Gives the
/// class of each byte, how many there are, and a byte of each.
fn byte_classes(nfa: &Nfa) -> ([u8; 256], usize, Vec<u8>) {
    let mut sets: Vec<_> = nfa
        .states
        .iter()
        .filter_map(|s| if let State::Byte(set, _) = s { Some(*set) } else { None })
        .collect();
    sets.sort_by_key(|s| s.0);
    sets.dedup();
    let mut classes = [0u8; 256];
    let mut samples = vec![0u8];
    for set in &sets {
        // Split every class that holds bytes of both kinds.
        let mut split: HashMap<u8, u8> = HashMap::new();
        for byte in 0..=255u8 {
            let class = classes[usize::from(byte)];
            if set.contains(byte) == set.contains(samples[usize::from(class)]) {
                continue;
            }
            let new = *split.entry(class).or_insert_with(|| {
                samples.push(byte);
                (samples.len() - 1) as u8
            });
            classes[usize::from(byte)] = new;
        }
    }
    (classes, samples.len(), samples)
}

/// Threads of a state under construction, in order.
struct List {
    items: Vec<Item>,
    origins: Origins,
    seen: Vec<bool>,
    begins: bool,
}

impl List {
    fn new(states: usize) -> Self {
        List { items: Vec::new(), origins: Vec::new(), seen: vec![false; states], begins: false }
    }
    fn start_group(&mut self) {
        self.begins = true;
    }
    fn add(&mut self, at: usize, source: u32, tags: u32) {
        self.items.push(Item { at, first: self.begins });
        self.begins = false;
        self.origins.push((source, tags));
    }
}

impl Builder<'_> {
    /// Follows the ways that read nothing, the preferred first.
    fn close(&self, list: &mut List, at: usize, source: u32, tags: u32, at_start: bool) {
        let mut stack = vec![(at, tags)];
        while let Some((at, tags)) = stack.pop() {
            if std::mem::replace(&mut list.seen[at], true) {
                continue;
            }
            match &self.nfa.states[at] {
                State::Byte(..) | State::End(_) | State::Accept => list.add(at, source, tags),
                State::Split(a, b) => stack.extend([(*b, tags), (*a, tags)]),
                State::Tag(tag, next) => stack.push((*next, tags | 1 << tag)),
                State::Start(next) => {
                    if at_start {
                        stack.push((*next, tags));
                    }
                }
            }
        }
    }

    fn intern(
        &mut self,
        mut list: List,
        closed: bool,
        at_start: bool,
    ) -> Result<(usize, Origins), RegexError> {
        let accepting = list.items.iter().position(|i| matches!(self.nfa.states[i.at], State::Accept));
        let mut closed = closed;
        if let Some(n) = accepting {
            closed = true;
            let later = list.items.iter().skip(n + 1).position(|i| i.first);
            if let Some(later) = later {
                list.items.truncate(n + 1 + later);
                list.origins.truncate(n + 1 + later);
            }
        }
        let key = Key { items: list.items, closed, at_start };
        if let Some(n) = self.keys.get(&key) {
            return Ok((*n, list.origins));
        }
        if self.states.len() >= MAX_STATES {
            return Err(RegexError::TooLarge { what: "states", limit: MAX_STATES });
        }
        self.states.push(key.clone());
        self.keys.insert(key, self.states.len() - 1);
        Ok((self.states.len() - 1, list.origins))
    }

    fn step(&mut self, from: usize, byte: u8) -> Result<Option<(usize, Origins)>, RegexError> {
        let key = &self.states[from];
        let closed = key.closed;
        let mut list = List::new(self.nfa.states.len());
        for (n, item) in key.items.iter().enumerate() {
            if item.first {
                list.start_group();
            }
            if let State::Byte(set, next) = &self.nfa.states[item.at] {
                if set.contains(byte) {
                    self.close(&mut list, *next, n as u32, 0, false);
                }
            }
        }
        if !closed {
            list.start_group();
            self.close(&mut list, self.nfa.start, NONE, 0, false);
        }
        if list.items.is_empty() {
            return Ok(None);
        }
        self.intern(list, closed, false).map(Some)
    }

    /// The thread that accepts in a state, and the tags that it sets doing so.
    fn accept(&self, key: &Key, at_end: bool) -> (u32, u32) {
        for group in groups(&key.items) {
            for n in group {
                match &self.nfa.states[key.items[n].at] {
                    State::Accept => return (n as u32, 0),
                    State::End(next) if at_end => {
                        if let Some(tags) = self.accept_at_end(*next, key.at_start) {
                            return (n as u32, tags);
                        }
                    }
                    _ => {}
                }
            }
        }
        (NONE, 0)
    }

    fn accept_at_end(&self, at: usize, at_start: bool) -> Option<u32> {
        let mut seen = vec![false; self.nfa.states.len()];
        let mut stack = vec![(at, 0)];
        while let Some((at, tags)) = stack.pop() {
            if std::mem::replace(&mut seen[at], true) {
                continue;
            }
            match &self.nfa.states[at] {
                State::Accept => return Some(tags),
                State::Byte(..) => {}
                State::Split(a, b) => stack.extend([(*b, tags), (*a, tags)]),
                State::Tag(tag, next) => stack.push((*next, tags | 1 << tag)),
                State::End(next) => stack.push((*next, tags)),
                State::Start(next) => {
                    if at_start {
                        stack.push((*next, tags));
                    }
                }
            }
        }
        None
    }
}

/// The items as ranges of one start each.
fn groups(items: &[Item]) -> impl Iterator<Item = std::ops::Range<usize>> + '_ {
    let mut at = 0;
    std::iter::from_fn(move || {
        let begin = at;
        let len = items.get(begin + 1..)?.iter().position(|i| i.first).map_or(items.len() - begin, |n| n + 1);
        at = begin + len;
        (begin < items.len()).then_some(begin..at)
    })
}

//! Loops of the evaluator through arrays: an array has an order, which sorting changes.

use super::eval::{Entries, Eval, Locals, Out, Stat};
use super::plain::{aggregate, fits};
use super::{By, Each, Val};

impl Eval {
    /// The entries of an array; of `sa` with what a loop without another word sorts them by.
    fn order_of(&self, name: &str) -> Entries {
        if name != "sa" {
            return self.arrays.get(name).cloned().unwrap_or_default();
        }
        let of = self.stats.iter().filter_map(|((_, k), v)| Some((vec![Val::Int((*k)?)], v.len())));
        of.map(|(k, n)| (k, Val::Int(n as i64))).collect()
    }

    fn set_order(&mut self, name: &'static str, entries: Entries) {
        if name != "sa" {
            self.arrays.insert(name, entries);
            return;
        }
        let at = |((_, k), _): &(Stat, Vec<i64>)| {
            k.and_then(|k| entries.iter().position(|(keys, _)| keys[0] == Val::Int(k)))
        };
        self.stats.sort_by_key(at);
    }

    /// Sorting is stable, and changes the array itself: the first `limit` entries come to the front.
    fn sort(&mut self, f: &Each, limit: i64) {
        let Some((by, down)) = &f.sort else { return };
        let entries = self.order_of(f.array);
        let value_of = |op: &str, keys: &[Val]| match keys[0] {
            Val::Int(k) => aggregate(op, self.values(&("sa", Some(k)))),
            _ => None,
        };
        let mut sorted = entries.clone();
        sorted.sort_by(|(ka, va), (kb, vb)| {
            let order = match by {
                By::Key(n) => ka[*n].cmp(&kb[*n]),
                By::Agg(op) => value_of(op, ka).cmp(&value_of(op, kb)),
                By::Value => va.cmp(vb),
            };
            if *down {
                order.reverse()
            } else {
                order
            }
        });
        sorted.truncate(usize::try_from(limit).unwrap_or(0));
        let rest = entries.into_iter().filter(|e| !sorted.contains(e)).collect::<Vec<_>>();
        sorted.extend(rest);
        self.set_order(f.array, sorted);
    }

    pub(super) fn foreach(&mut self, f: &Each, l: &mut Locals) -> Result<(), Out> {
        let slice = f.slice.as_ref().map(|s| self.slice(s, l)).transpose()?;
        let mut left = f.limit.as_ref().map(|e| self.int(e, l)).transpose()?.unwrap_or(i64::MAX);
        self.sort(f, left);
        let mut at: Option<Vec<Val>> = None;
        while left > 0 {
            // a loop within may have sorted the array: what comes next is next now
            let entries = self.order_of(f.array);
            let next = at.map_or(0, |k| 1 + entries.iter().position(|(x, _)| *x == k).expect("it stays"));
            let Some((keys, value)) = entries.into_iter().nth(next) else { break };
            at = Some(keys.clone());
            left -= 1;
            if slice.as_ref().is_some_and(|s| !fits(s, &keys)) {
                continue;
            }
            for (name, key) in f.keys.iter().zip(keys) {
                l.insert(name, key);
            }
            if let Some(v) = f.value {
                l.insert(v, value);
            }
            if !self.turn(&f.body, l)? {
                break;
            }
        }
        Ok(())
    }
}

//! Histograms as scripts print them, by what SystemTap's manual says of them
//! and what it was seen to print: one row for each bucket from two before the
//! first that counts something to two behind the last, with its lowest value
//! (of negative ones in a logarithmic histogram the highest), a bar and the count.

/// `@hist_log`, or `@hist_linear` from the first value in steps to the start of the last bucket.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    Log,
    Linear(i64, i64, i64),
}

/// What `-D` may change: how wide bars are, and how many rows without a count stay beside one with
/// it; less than none: all.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub width: usize,
    pub elision: i64,
}

impl Default for Shape {
    fn default() -> Self {
        Self { width: 50, elision: 2 }
    }
}

/// Rows beside those that count something.
const BESIDE: usize = 2;

struct Row {
    label: String,
    count: usize,
}

impl Kind {
    /// As a script writes it, of that statistic.
    pub fn text(&self, of: &str) -> String {
        match self {
            Kind::Log => format!("@hist_log({of})"),
            Kind::Linear(lo, hi, step) => format!("@hist_linear({of}, {lo}, {hi}, {step})"),
        }
    }

    /// The buckets, by what stands before their bars: those of a linear histogram have one for what
    /// is below and one for what is above.
    fn labels(&self) -> Vec<String> {
        match *self {
            Kind::Log => {
                let powers = |n: u32| (0..n).map(|n| 1i128 << n);
                let negative = powers(64).rev().map(|p| -p);
                negative.chain([0]).chain(powers(63)).map(|l| l.to_string()).collect()
            }
            Kind::Linear(lo, hi, step) => {
                let inner = (0..).map(|n| lo + n * step).take_while(|l| *l <= hi);
                let mut all = vec![format!("<{lo}")];
                all.extend(inner.map(|l| l.to_string()));
                all.push(format!(">{hi}"));
                all
            }
        }
    }

    /// The label of the bucket that counts a value.
    fn label(&self, v: i64) -> String {
        match *self {
            Kind::Log if v == 0 => "0".into(),
            Kind::Log => {
                let power = 1i128 << v.unsigned_abs().ilog2();
                (i128::from(v.signum()) * power).to_string()
            }
            Kind::Linear(lo, ..) if v < lo => format!("<{lo}"),
            Kind::Linear(_, hi, step) if v >= hi + step => format!(">{hi}"),
            Kind::Linear(lo, _, step) => (lo + (v - lo) / step * step).to_string(),
        }
    }

    /// The count of each bucket.
    pub fn counts(&self, values: &[i64]) -> Vec<usize> {
        self.rows(values).into_iter().map(|r| r.count).collect()
    }

    fn rows(&self, values: &[i64]) -> Vec<Row> {
        let of: Vec<String> = values.iter().map(|v| self.label(*v)).collect();
        let count = |label: &String| of.iter().filter(|l| *l == label).count();
        self.labels().into_iter().map(|label| Row { count: count(&label), label }).collect()
    }

    /// The first and the last row to show.
    fn ends(&self, rows: &[Row]) -> Option<(usize, usize)> {
        let first = rows.iter().position(|r| r.count > 0)?;
        let last = rows.iter().rposition(|r| r.count > 0)?;
        let (low, high) = match self {
            // beside what is not negative there are no negative rows
            Kind::Log => {
                let zero = rows.iter().position(|r| r.label == "0")?;
                (if first >= zero { zero } else { 0 }, rows.len() - 1)
            }
            // what lies outside is shown only where something does
            Kind::Linear(..) => (1, rows.len() - 2),
        };
        let from = first.saturating_sub(BESIDE).max(low).min(first);
        Some((from, (last + BESIDE).min(high).max(last)))
    }

    /// The histogram; `None` of no values.
    pub fn draw(&self, values: &[i64], shape: Shape) -> Option<String> {
        let rows = self.rows(values);
        let (from, to) = self.ends(&rows)?;
        let most = rows.iter().map(|r| r.count).max()?;
        let each = most.div_ceil(shape.width).max(1);
        let label_width = rows[from..=to].iter().map(|r| r.label.len()).max()?.max("value".len());
        let count_width = most.to_string().len();
        let mut out = format!("{:>label_width$} |{} count\n", "value", "-".repeat(shape.width));
        let mut left_out = false;
        for (n, row) in rows.iter().enumerate().take(to + 1).skip(from) {
            let near = |(m, r): (usize, &Row)| r.count > 0 && m.abs_diff(n) as i64 <= shape.elision;
            if shape.elision >= 0 && !rows.iter().enumerate().any(near) {
                left_out = true;
                continue;
            }
            if std::mem::take(&mut left_out) {
                out += &format!("{:label_width$} ~\n", "");
            }
            let bar = "@".repeat(row.count / each);
            let width = shape.width;
            out += &format!("{:>label_width$} |{bar:<width$} {:>count_width$}\n", row.label, row.count);
        }
        Some(out + "\n")
    }
}

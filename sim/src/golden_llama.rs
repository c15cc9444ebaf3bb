//! experiment
#![allow(missing_docs)]
use lpu_compiler::llama::graph::*;
use lpu_isa::arithmetic::{Requantise, Rounding};
use lpu_isa::fixed_point::normalise::Factor;
use lpu_isa::fixed_point::{add, multiply, saturate, subtract, sum_of_squares};
use lpu_isa::fixed_point::table::EXPONENTIAL_ORIGIN;
use lpu_isa::program::Scale;

pub struct Session<'a> {
    m: &'a QuantisedLlama,
    keys: Vec<Vec<i8>>,
    values: Vec<Vec<i8>>,
    pos: usize,
    pub saturated: usize,
}

fn requantise(acc: i32, s: Scale) -> i16 {
    Requantise { multiplier: s.multiplier, shift: s.shift, zero_point: 0, minimum: -32768, maximum: 32767, rounding: Rounding::Double }.apply(acc) as i16
}

fn product(m: &Matrix, scales: &[Scale], x: &[i16]) -> Vec<i16> {
    let g = m.groups();
    m.rows()
        .enumerate()
        .map(|(r, row)| {
            row.chunks(m.group).zip(x.chunks(m.group)).zip(&scales[r * g..]).fold(0_i16, |sum, ((w, x), s)| {
                let acc: i32 = w.iter().zip(x).map(|(&w, &x)| i32::from(w) * i32::from(x)).sum();
                add(sum, requantise(acc, *s))
            })
        })
        .collect()
}

fn c8(x: i16) -> i8 { x.clamp(-127, 127) as i8 }

impl<'a> Session<'a> {
    pub fn new(m: &'a QuantisedLlama) -> Self {
        Self { m, keys: vec![vec![]; m.layers.len()], values: vec![vec![]; m.layers.len()], pos: 0, saturated: 0 }
    }
    fn factor(&self, n: &Norm, x: &[i16]) -> Factor {
        self.m.normalise.reciprocal_root(sum_of_squares(x, n.square_shift) + n.epsilon)
    }
    fn rope(&self, v: &mut [i16]) {
        let hs = self.m.shape.head_size;
        let at = self.pos * hs / 2;
        let (c, s) = (&self.m.cosines[at..at + hs / 2], &self.m.sines[at..at + hs / 2]);
        for head in v.chunks_exact_mut(hs) {
            for ((p, &c), &s) in head.chunks_exact_mut(2).zip(c).zip(s) {
                let (a, b) = (p[0], p[1]);
                p[0] = subtract(multiply(a, c, 14), multiply(b, s, 14));
                p[1] = add(multiply(a, s, 14), multiply(b, c, 14));
            }
        }
    }
    fn normed(&self, f: Factor, shift: i32, x: &[i16]) -> Vec<i16> {
        match self.m.norm_place {
            NormPlace::Before => x.iter().map(|&x| f.scale(x, shift)).collect(),
            NormPlace::After => x.to_vec(),
        }
    }
    fn prod(&self, p: &Product, f: Factor, shift: i32, x: &[i16]) -> Vec<i16> {
        let t = product(&p.matrix, &p.scales, x);
        match self.m.norm_place {
            NormPlace::Before => t,
            NormPlace::After => t.iter().map(|&x| f.scale(x, shift)).collect(),
        }
    }
    pub fn step(&mut self, token: u32) -> Vec<i16> {
        let m = self.m;
        let sh = &m.shape;
        let e = &m.embedding;
        let g = e.groups();
        let row = &e.weights[token as usize * sh.dim..][..sh.dim];
        let mut x: Vec<i16> = row.iter().enumerate().map(|(c, &w)| requantise(i32::from(w), m.embedding_scales[token as usize * g + c / e.group])).collect();
        for (n, l) in m.layers.iter().enumerate() {
            let f = self.factor(&l.attention_norm, &x);
            let h = self.normed(f, l.attention_shift, &x);
            let mut q = self.prod(&l.query, f, l.query_shift, &h);
            let mut k = self.prod(&l.key, f, l.key_shift, &h);
            let v = self.prod(&l.value, f, l.value_shift, &h);
            self.rope(&mut q);
            self.rope(&mut k);
            self.keys[n].extend(k.iter().map(|&k| c8(multiply(k, 1, KEY_SHIFT))));
            self.values[n].extend(v.iter().map(|&v| c8(v)));
            let mut a = vec![];
            for (h, q) in q.chunks_exact(sh.head_size).enumerate() {
                let kvh = sh.kv_head(h);
                let at = kvh * sh.head_size;
                let scores: Vec<i16> = self.keys[n].chunks_exact(sh.kv_length()).map(|k| {
                    let acc: i32 = k[at..at + sh.head_size].iter().zip(q).map(|(&k, &q)| i32::from(k) * i32::from(q)).sum();
                    requantise(acc, l.score_scales[kvh])
                }).collect();
                let origin = match m.softmax_origin {
                    SoftmaxOrigin::Largest => scores.iter().copied().max().unwrap_or(0),
                    SoftmaxOrigin::Fixed => l.score_origin[h],
                };
                let p: Vec<i16> = scores.iter().map(|&s| {
                    m.exponential.apply(saturate(i32::from(s) - i32::from(origin) + i32::from(EXPONENTIAL_ORIGIN)))
                }).collect();
                let sum: i32 = p.iter().map(|&p| i32::from(p)).sum();
                let r = m.normalise.reciprocal(sum);
                for c in 0..sh.head_size {
                    let acc: i32 = self.values[n].chunks_exact(sh.kv_length()).zip(&p).map(|(v, &p)| i32::from(v[at + c]) * i32::from(p)).sum();
                    let t = requantise(acc, l.weighted_scales[at + c]);
                    a.push(r.scale(t, l.weighted_shift));
                }
            }
            let o = product(&l.output.matrix, &l.output.scales, &a);
            x.iter_mut().zip(&o).for_each(|(x, &o)| *x = add(*x, o));
            let f = self.factor(&l.feed_forward_norm, &x);
            let h = self.normed(f, l.feed_forward_shift, &x);
            let g = self.prod(&l.gate, f, l.gate_shift, &h);
            let u = self.prod(&l.up, f, l.up_shift, &h);
            let hid: Vec<i16> = g.iter().zip(&u).map(|(&g, &u)| multiply(l.silu.apply(g), u, l.hidden_shift)).collect();
            let o = product(&l.down.matrix, &l.down.scales, &hid);
            x.iter_mut().zip(&o).for_each(|(x, &o)| *x = add(*x, o));
            self.saturated += [&x, &q, &k, &a, &g, &u, &hid].iter().map(|v| v.iter().filter(|x| x.unsigned_abs() >= 32767).count()).sum::<usize>();
        }
        self.pos += 1;
        let f = self.factor(&m.final_norm, &x);
        let mut h = self.normed(f, m.final_shift, &x);
        if let Some(w) = &m.final_weights {
            h.iter_mut().zip(&w.values).for_each(|(h, &w)| *h = multiply(*h, w, w_shift(m)));
        }
        let t = product(m.classifier.as_ref().unwrap_or(&m.embedding), &m.classifier_scales, &h);
        match m.norm_place {
            NormPlace::Before => t,
            NormPlace::After => t.iter().map(|&x| f.scale(x, m.logits_shift)).collect(),
        }
    }
}
fn w_shift(m: &QuantisedLlama) -> u32 { m.final_weights.as_ref().map_or(0, |w| w.right_shift) }

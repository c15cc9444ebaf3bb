//! From floating point to integers.

use lpu_isa::arithmetic::quantize_multiplier;
use lpu_isa::fixed_point::normalise::Normalise;
use lpu_isa::fixed_point::square_shift;
use lpu_isa::fixed_point::table::Table;
use lpu_isa::program::Scale;

use super::calibrate::{LayerRanges, Ranges};
use super::float::rope_angle;
#[allow(clippy::wildcard_imports)]
use super::graph::*;
use super::model::{LlamaLayer, LlamaModel};

/// How weights are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WeightFormat {
    /// Eight bits, a scale for each row.
    Int8,
    /// Four bits, a scale for each `group` columns of a row.
    Int4 {
        /// Columns.
        group: usize,
    },
}

/// What may be chosen.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Weights.
    pub weights: WeightFormat,
    /// Experiment.
    pub norm_place: NormPlace,
    /// Experiment.
    pub softmax_origin: SoftmaxOrigin,
    /// Experiment: headroom.
    pub margin: f64,
    /// Experiment: headroom of int8 keys and values.
    pub cache_margin: f64,
    /// Experiment.
    pub fold: bool,
    /// Experiment: finest score unit
    pub least_score_unit: f64,
    /// Experiment
    pub per_tensor_embedding: bool,
    /// Experiment
    pub cache_coarse: bool,
}

fn scale(real: f64) -> Scale {
    let (multiplier, shift) = quantize_multiplier(real);
    Scale { multiplier, shift }
}

/// Quantises.
pub fn quantise(model: &LlamaModel, ranges: &Ranges, options: &Options) -> QuantisedLlama {
    Quantiser { model, ranges, options }.run()
}

struct Quantiser<'a> {
    model: &'a LlamaModel,
    ranges: &'a Ranges,
    options: &'a Options,
}

struct NormUnit {
    norm: Norm,
    /// y = x × F × this, where F = 1/sqrt(sum)
    constant: f64,
}

impl Quantiser<'_> {
    fn matrix(&self, rows: usize, columns: usize, weights: &[f32], columns_scale: Option<&[f32]>) -> Matrix {
        let (group, most) = match self.options.weights {
            WeightFormat::Int8 => (columns, 127.0),
            WeightFormat::Int4 { group } => (group.min(columns), 7.0),
        };
        let mut out = Vec::with_capacity(weights.len());
        let mut units = Vec::new();
        for row in weights.chunks_exact(columns) {
            let row: Vec<f64> = row
                .iter()
                .enumerate()
                .map(|(c, &w)| f64::from(w) * columns_scale.map_or(1.0, |s| f64::from(s[c])))
                .collect();
            for g in row.chunks(group) {
                let max = g.iter().fold(0.0_f64, |m, w| m.max(w.abs()));
                let error = |unit: f64| -> f64 {
                    g.iter().map(|w| ((w / unit).round().clamp(-most, most) * unit - w).powi(2)).sum()
                };
                let mut unit = max / most;
                if most < 10.0 && max > 0.0 {
                    let best = (0..40)
                        .map(|i| max / most * (1.0 - f64::from(i) * 0.015))
                        .min_by(|a, b| error(*a).total_cmp(&error(*b)));
                    unit = best.unwrap_or(unit);
                }
                units.push(unit);
                out.extend(g.iter().map(|w| if unit > 0.0 { (w / unit).round().clamp(-most, most) as i8 } else { 0 }));
            }
        }
        Matrix { rows, columns, group, weights: out, units }
    }

    fn norm(&self, count: usize, limit: i16, unit: f64) -> NormUnit {
        let shift = square_shift(count, limit, (1 << 30) - 1);
        let epsilon = self.model.norm_epsilon * count as f64 / (unit * unit) / f64::from(shift).exp2();
        let norm = Norm { square_shift: shift, epsilon: epsilon.round().clamp(0.0, f64::from(1 << 30)) as i32 };
        NormUnit { norm, constant: (count as f64 / f64::from(shift).exp2()).sqrt() }
    }

    fn product(matrix: Matrix, input_unit: f64, output: impl Fn(usize) -> f64, limit: i16) -> Product {
        let groups = matrix.groups();
        let scales = matrix.units.iter().enumerate().map(|(i, u)| scale(u * input_unit / output(i / groups))).collect();
        Product { matrix, scales, limit }
    }

    fn run(&self) -> QuantisedLlama {
        let m = self.model;
        let shape = &m.shape;
        let dim = shape.dim;
        let margin = self.options.margin;
        let sx = self.ranges.residual * margin / 32767.0;
        let mut embedding = self.matrix(shape.vocabulary, dim, &m.embedding, None);
        if self.options.per_tensor_embedding {
            let unit = embedding.units.iter().copied().fold(0.0_f64, f64::max);
            embedding.weights = m.embedding.iter().map(|w| (f64::from(*w) / unit).round() as i8).collect();
            embedding.units.iter_mut().for_each(|u| *u = unit);
        }
        let embedding_scales = embedding.units.iter().map(|u| scale(u / sx)).collect();
        let max_score = self.ranges.layers.iter().map(|l| l.score).fold(0.0, f64::max);
        let score_unit = (max_score * margin / 32767.0).max(self.options.least_score_unit);
        let final_norm = self.norm(dim, 32767, sx);
        let tied = m.classifier.is_none();
        let after = self.options.norm_place == NormPlace::After;
        // final
        let (mut final_shift, mut final_weights, classifier, input_unit);
        final_shift = 0;
        final_weights = None;
        let h_unit = |hmax: f64| -> (f64, i32) {
            let least = hmax * margin / 32767.0;
            let rs = (least / final_norm.constant).log2().ceil() as i32;
            (f64::from(rs).exp2() * final_norm.constant, rs)
        };
        // base vector: residual (after) or normalised (before)
        let gmax = m.final_norm.iter().fold(0.0_f64, |a, g| a.max(f64::from(g.abs())));
        let base = if after {
            sx
        } else {
            // before the weights: bound by range of h without g: sqrt(dim)
            let (u, rs) = h_unit((dim as f64).sqrt());
            final_shift = rs;
            u
        };
        if tied {
            // f = base × g >> s ; choose unit
            let gu = gmax / 32767.0;
            let want = if after { self.ranges.final_raw } else { self.ranges.final_input } * margin / 32767.0;
            let s = (want / (base * gu)).log2().floor().max(0.0) as u32;
            let gu = want / base / f64::from(s).exp2();
            final_weights = Some(ElementWeights {
                values: m.final_norm.iter().map(|g| (f64::from(*g) / gu).round() as i16).collect(),
                right_shift: s,
            });
            input_unit = want;
            classifier = None;
        } else {
            input_unit = base;
            classifier = Some(self.matrix(shape.vocabulary, dim, m.classifier(), Some(&m.final_norm)));
        }
        let cm = classifier.as_ref().unwrap_or(&embedding);
        let logits_unit = self.ranges.logits * margin / 32767.0;
        let (out_unit, logits_shift) =
            self.raw_unit(after, &final_norm, sx, logits_unit, self.ranges.logits_raw * margin / 32767.0);
        let classifier_scales = cm.units.iter().map(|u| scale(u * input_unit / out_unit)).collect();
        let layers =
            m.layers.iter().zip(&self.ranges.layers).map(|(l, r)| self.layer(l, r, sx, score_unit)).collect();
        let half = shape.head_size / 2;
        let angles = (0..shape.context)
            .flat_map(|p| (0..half).map(move |i| (p, i)))
            .map(|(p, i)| rope_angle(i, shape.head_size, p, m.rope_theta));
        let (sines, cosines) = angles
            .map(|a| ((a.sin() * 16384.0).round() as i16, (a.cos() * 16384.0).round() as i16))
            .unzip();
        QuantisedLlama {
            name: m.name.clone(),
            shape: shape.clone(),
            begin: m.begin,
            end: m.end.clone(),
            norm_place: self.options.norm_place,
            softmax_origin: self.options.softmax_origin,
            embedding_scales,
            residual_limit: 32767,
            layers,
            final_norm: final_norm.norm,
            final_shift,
            final_weights,
            classifier_scales,
            classifier_limit: 32767,
            classifier,
            embedding,
            logits_shift,
            logits_unit,
            score_unit,
            cosines,
            sines,
            exponential: Table::exponential(score_unit, 32767),
            normalise: Normalise::new(),
        }
    }

    /// Unit of a product's requantised result and the shift by which the norm's factor turns it to `unit`.
    fn raw_unit(&self, after: bool, norm: &NormUnit, sx: f64, unit: f64, least: f64) -> (f64, i32) {
        if !after {
            return (unit, 0);
        }
        let whole = sx * unit / norm.constant;
        let rs = (whole / least).log2().floor() as i32;
        (whole / f64::from(rs).exp2(), rs)
    }

    fn layer(&self, l: &LlamaLayer, r: &LayerRanges, sx: f64, score_unit: f64) -> QuantisedLayer {
        let shape = &self.model.shape;
        let dim = shape.dim;
        let margin = self.options.margin;
        let cache_margin = self.options.cache_margin;
        let full = |range: f64| range.max(1e-9) * margin / 32767.0;
        let after = self.options.norm_place == NormPlace::After;
        let norm = self.norm(dim, 32767, sx);
        let input = |range: f64| -> (f64, i32) {
            if after {
                return (sx, 0);
            }
            let rs = (full(range) / norm.constant).log2().ceil() as i32;
            (f64::from(rs).exp2() * norm.constant, rs)
        };
        let (attention_in, attention_shift) = input(r.attention_input);
        let (ff_in, feed_forward_shift) = input(r.feed_forward_input);
        let (q, kv) = (shape.query_length(), shape.kv_length());
        let an = Some(l.attention_norm.as_slice());
        let fn_ = Some(l.feed_forward_norm.as_slice());
        // query
        let sq = full(r.query);
        let (raw, query_shift) = self.raw_unit(after, &norm, sx, sq, full(r.query_raw));
        let query = Self::product(self.matrix(q, dim, &l.query, an), attention_in, |_| raw, 32767);
        // key
        let mut key_range = r.key.clone();
        let mut value_range = r.value.clone();
        if self.options.cache_coarse {
            let most = |v: &Vec<f64>| v.iter().copied().fold(0.0_f64, f64::max);
            let (k, v) = (most(&key_range), most(&value_range));
            key_range.iter_mut().for_each(|x| *x = k);
            value_range.iter_mut().for_each(|x| *x = v);
        }
        let sk: Vec<f64> = key_range.iter().map(|k| k.max(1e-9) * cache_margin / 127.0).collect();
        let shifts = |units: &[f64], raws: &[f64]| -> i32 {
            units.iter().zip(raws).map(|(u, raw)| self.raw_unit(after, &norm, sx, *u, full(*raw)).1).min().unwrap_or(0)
        };
        let key_units: Vec<f64> = sk.iter().map(|s| s / 256.0).collect();
        let key_shift = shifts(&key_units, &r.key_raw);
        let of = |unit: f64, rs: i32| if after { sx * unit / norm.constant / f64::from(rs).exp2() } else { unit };
        let key = Self::product(
            self.matrix(kv, dim, &l.key, an),
            attention_in,
            |row| of(key_units[row / shape.head_size], key_shift),
            32767,
        );
        // value
        let sv: Vec<f64> = value_range.iter().map(|v| v.max(1e-9) * cache_margin / 127.0).collect();
        let value_shift = shifts(&sv, &r.value_raw);
        let value =
            Self::product(self.matrix(kv, dim, &l.value, an), attention_in, |row| of(sv[row], value_shift), 32767);
        // scores
        let root = (shape.head_size as f64).sqrt();
        let score_scales = sk.iter().map(|s| scale(sq * s / root / score_unit)).collect();
        let score_origin = r.score_top.iter().map(|t| (t / score_unit).round() as i16).collect();
        // weighted
        let sa = full(r.attention);
        let e = (full(r.weighted * 32767.0) / sa).log2().ceil() as i32;
        let su = sa * f64::from(e).exp2();
        let weighted_scales = sv.iter().map(|s| scale(s / su)).collect();
        let output = Self::product(self.matrix(dim, q, &l.output, None), sa, |_| sx, 32767);
        // ff
        let (sg, su3) = (full(r.gate), full(r.up));
        let (gate_raw, gate_shift) = self.raw_unit(after, &norm, sx, sg, full(r.gate_raw));
        let (up_raw, up_shift) = self.raw_unit(after, &norm, sx, su3, full(r.up_raw));
        let gate = Self::product(self.matrix(shape.hidden, dim, &l.gate, fn_), ff_in, |_| gate_raw, 32767);
        let up = Self::product(self.matrix(shape.hidden, dim, &l.up, fn_), ff_in, |_| up_raw, 32767);
        let hidden_unit = full(r.hidden);
        let silu_least = full(r.gate);
        let ks = (hidden_unit / (silu_least * su3)).log2().floor().max(0.0);
        let silu_unit = hidden_unit / (su3 * ks.exp2());
        let down = Self::product(self.matrix(dim, shape.hidden, &l.down, None), hidden_unit, |_| sx, 32767);
        QuantisedLayer {
            attention_norm: norm.norm.clone(),
            attention_shift,
            query,
            query_shift,
            query_limit: 32767,
            key,
            key_shift,
            value,
            value_shift,
            score_scales,
            score_origin,
            weighted_scales,
            weighted_shift: -e,
            output,
            feed_forward_norm: norm.norm,
            feed_forward_shift,
            gate,
            gate_shift,
            up,
            up_shift,
            silu: Table::silu(sg, silu_unit),
            hidden_shift: ks as u32,
            down,
        }
    }
}

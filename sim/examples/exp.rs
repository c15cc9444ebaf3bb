#![allow(clippy::unwrap_used, missing_docs)]
use lpu_compiler::import::llama::read_model;
use lpu_compiler::llama::{calibrate::Ranges, float::*, graph::*, quantise::*};
use lpu_sim::golden_llama::Session;
fn main() {
    let d = std::env::var("LPU_CONFORMANCE_DIR").unwrap();
    let m = read_model(format!("{d}/models/stories260K/stories260K.bin").as_ref()).unwrap();
    let raw = std::fs::read(format!("{d}/reference/stories260K/eval_tokens.npy")).unwrap();
    let t: Vec<u32> = raw[128..].chunks(2).map(|b| u32::from(u16::from_le_bytes([b[0], b[1]]))).collect();
    let start = std::time::Instant::now();
    let mut nll = 0.0; let mut n = 0;
    for s in t.chunks(256) {
        let mut f = FloatSession::new(&m);
        for w in s.windows(2) { nll += negative_log_likelihood(&f.step(w[0]), w[1]); n += 1; }
    }
    let float = nll / f64::from(n);
    println!("float {float} {:?}", start.elapsed());
    let r = Ranges::of(&m);
    println!("{:?}", start.elapsed());
    println!("residual {} final {} logits {} raw {}", r.residual, r.final_input, r.logits, r.logits_raw);
    for l in &r.layers { println!("q {:.2} qr {:.2} k {:?} score {:.1} tops {:?} w {:.1} a {:.2} gate {:.1} {:.1} up {:.1} hid {:.1}", l.query, l.query_raw, l.key, l.score, l.score_top, l.weighted, l.attention, l.gate, l.gate_raw, l.up, l.hidden); }
    let base = Options { weights: WeightFormat::Int8, norm_place: NormPlace::Before, softmax_origin: SoftmaxOrigin::Largest, margin: 1.1, cache_margin: 1.0, fold: true, least_score_unit: 1.0 / 4096.0, per_tensor_embedding: false, cache_coarse: false };
    let a = Options { norm_place: NormPlace::After, ..base };
    let runs: Vec<(&str, Options)> = vec![
        ("before", base), ("after", a),
        ("before fixed", Options { softmax_origin: SoftmaxOrigin::Fixed, ..base }),
        ("after fixed", Options { softmax_origin: SoftmaxOrigin::Fixed, ..a }),
        ("after margin 1.5", Options { margin: 1.5, ..a }),
        ("after margin 4", Options { margin: 4.0, ..a }),
        ("before margin 4", Options { margin: 4.0, ..base }),
        ("after cache 1.1", Options { cache_margin: 1.1, ..a }),
        ("after cache 0.9", Options { cache_margin: 0.9, ..a }),
        ("after coarse", Options { cache_coarse: true, ..a }),
        ("after per tensor emb", Options { per_tensor_embedding: true, ..a }),
        ("after int4 row", Options { weights: WeightFormat::Int4 { group: 9999 }, ..a }),
        ("after int4 32", Options { weights: WeightFormat::Int4 { group: 32 }, ..a }),
        ("after int4 16", Options { weights: WeightFormat::Int4 { group: 16 }, ..a }),
        ("after int4 8", Options { weights: WeightFormat::Int4 { group: 8 }, ..a }),
    ];
    for (name, o) in runs {
        let q = quantise(&m, &r, &o);
        let mut nll = 0.0; let mut sat = 0;
        for s in t.chunks(256) {
            let mut f = Session::new(&q);
            for w in s.windows(2) {
                let l: Vec<f64> = f.step(w[0]).iter().map(|&x| f64::from(x) * q.logits_unit).collect();
                nll += negative_log_likelihood(&l, w[1]);
            }
            sat += f.saturated;
        }
        println!("{name}: ratio {:.5} saturated {sat}", (nll / f64::from(n) - float).exp());
    }
}

#![allow(clippy::unwrap_used, missing_docs)]
use lpu_compiler::import::llama::read_model;
use lpu_compiler::llama::{calibrate::Ranges, float::*, quantise::*, weights::WeightFormat};
use lpu_sim::golden_llama::GoldenLlama;
fn main() {
    let d = std::env::var("LPU_CONFORMANCE_DIR").unwrap();
    let m = read_model(format!("{d}/models/stories260K/stories260K.bin").as_ref()).unwrap();
    let raw = std::fs::read(format!("{d}/reference/stories260K/eval_tokens.npy")).unwrap();
    let t: Vec<u32> = raw[128..].chunks(2).map(|b| u32::from(u16::from_le_bytes([b[0], b[1]]))).collect();
    let float = 1.2986281152315631;
    let r = Ranges::of(&m);
    let runs = vec![
        ("int8", WeightFormat::Int8),
        ("int4 row", WeightFormat::Int4 { group: 9999 }),
        ("int4 32", WeightFormat::Int4 { group: 32 }),
        ("int4 16", WeightFormat::Int4 { group: 16 }),
        ("int4 8", WeightFormat::Int4 { group: 8 }),
    ];
    for (name, o) in runs {
        let q = quantise_with(&m, &r, o).unwrap();
        let mut nll = 0.0; let mut n = 0;
        let mut f = GoldenLlama::new(&q).unwrap();
        for s in t.chunks(256) {
            f.restart();
            for w in s.windows(2) {
                let l: Vec<f64> = f.step(w[0]).unwrap().logits().iter().map(|&x| f64::from(x) * q.classifier.unit).collect();
                nll += negative_log_likelihood(&l, w[1]);
                n += 1;
            }
        }
        println!("{name}: ratio {:.5}", (nll / f64::from(n) - float).exp());
    }
}

//! What it costs to count a sight of an entity and to say how rare it was, under criterion.
//!
//! `cargo bench -p tripline-benches --bench entities`. A million values of ten thousand entities in a hundred groups
//! are remembered; sights of them come evenly, or by Zipf's law (the n-th most frequent n times as rarely).

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tripline_core::insight::entity::{Entities, EntitySettings, Sight};

const PAIRS: u64 = 1_000_000;
const VALUES_OF_ENTITY: u64 = 100;
const GROUPS: u64 = 100;
const SIGHTS: u64 = 100_000;
const START: i64 = 1_700_000_000;
/// Odd and not near a fraction of the number of pairs, so that neighbours are far apart.
const STRIDE: u64 = 736_877;

fn scrambled(number: u64) -> u64 {
    let mixed = number.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed ^ mixed >> 31).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 11
}

fn sight(pair: u64) -> Sight {
    let entity = pair / VALUES_OF_ENTITY;
    Sight {
        entity,
        value: pair % VALUES_OF_ENTITY + entity % 50,
        peers: entity % GROUPS,
        time_seconds: START,
    }
}

fn filled() -> Entities {
    let settings = EntitySettings {
        keys_max: 2 * PAIRS,
        ..EntitySettings::default()
    };
    let mut entities = Entities::new(settings, [1, 2]);
    for number in 0..PAIRS {
        entities.see(&sight(number * STRIDE % PAIRS));
    }
    entities
}

fn zipf(number: u64) -> u64 {
    let uniform = scrambled(number) as f64 / (1u64 << 53) as f64;
    let rank = ((PAIRS as f64).ln() * uniform).exp() as u64 - 1;
    rank * STRIDE % PAIRS
}

fn entities(criterion: &mut Criterion) {
    let mut entities = filled();
    let mut group = criterion.benchmark_group("entities");
    group
        .throughput(Throughput::Elements(SIGHTS))
        .sample_size(20);
    let evenly: Vec<Sight> = (0..SIGHTS).map(|at| sight(scrambled(at) % PAIRS)).collect();
    let by_zipf: Vec<Sight> = (0..SIGHTS).map(|at| sight(zipf(at))).collect();
    for (name, sights) in [("evenly", &evenly), ("by Zipf's law", &by_zipf)] {
        group.bench_function(format!("see, {name}"), |bench| {
            bench.iter(|| {
                for sight in sights {
                    black_box(entities.see(sight));
                }
            });
        });
    }
    group.throughput(Throughput::Elements(PAIRS));
    group.bench_function("snapshot", |bench| {
        bench.iter(|| black_box(entities.snapshot().len()));
    });
    group.finish();
}

criterion_group!(benches, entities);
criterion_main!(benches);

//! A plugin of any world that answers nothing: what remains of the time of a call is the price of the crossing.
//!
//! Its functions are those of the contract, whatever that exports: a result of zeros is "done, and nothing", a batch
//! without values for those who are asked for columns, and as many opinions as there are rows for those who have to have
//! one each. It reads the number of rows and nothing else of what it is given. Rejected: a component kept in the
//! repository, which would be of yesterday's contract.

use crate::build;
use anyhow::{Context, Result, bail};
use std::path::Path;
use wasm_encoder::{
    BlockType, CodeSection, ConstExpr, DataSection, ExportKind, ExportSection, Function,
    FunctionSection, GlobalSection, GlobalType, InstructionSink, MemArg, MemorySection, MemoryType,
    Module, TypeSection, ValType,
};
use wit_parser::abi::{AbiVariant, WasmType};
use wit_parser::{Resolve, SizeAlign, Type, TypeDefKind, WorldItem};

/// Most rows of a batch, by the contract.
const ROWS_MAX: u32 = 1024;
/// Where results lie, 256 bytes for each function.
const RESULTS: u32 = 1024;
const RESULT_BYTES: u32 = 256;
/// As many zeros as a list of an opinion a row may have.
const OPINIONS: u32 = 8192;
/// Where the batch without values lies.
const BATCH: u32 = 40_960;
/// Where arguments are put, anew with each call.
const HEAP: u32 = 65_536;
const PAGE: i32 = 65_536;

/// The empty plugin of a manifest; `kinds` are the numbers of the kinds of the columns that it is to give.
pub fn empty(manifest: &str, wit: &Path, kinds: &[u32]) -> Result<Vec<u8>> {
    let said = crate::manifest::said(manifest, wit)?;
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(wit).context("read the contract")?;
    let world = resolve.packages[package].worlds.get(&said.world);
    let world = *world.with_context(|| format!("there is no world `{}`", said.world))?;
    let mut sizes = SizeAlign::default();
    sizes.fill(&resolve)?;
    let mut parts = Parts::default();
    for item in resolve.worlds[world].exports.values() {
        let WorldItem::Interface { id, .. } = item else {
            continue;
        };
        let name = resolve.id_of(*id).context("an interface without a name")?;
        for function in resolve.interfaces[*id].functions.values() {
            let signature = resolve.wasm_signature(AbiVariant::GuestExport, function);
            let plain = |ty: &WasmType| match ty {
                WasmType::I64 | WasmType::PointerOrI64 => ValType::I64,
                WasmType::F32 => ValType::F32,
                WasmType::F64 => ValType::F64,
                WasmType::I32 | WasmType::Pointer | WasmType::Length => ValType::I32,
            };
            let parameters = signature.params.iter().map(plain).collect();
            let answer = Answer::of(&resolve, &sizes, function)?;
            parts.function(&format!("{name}#{}", function.name), parameters, answer)?;
        }
    }
    build(&parts.module(&without_values(kinds)), manifest, wit)
}

/// What a function gives.
enum Answer {
    /// Zeros.
    Zeros,
    /// A list, at this byte of the result, of the batch without values.
    Batch(u32),
    /// The same of zeros, one element a row.
    Opinions(u32),
    /// The second case of a variant, at this byte of the result: the first of a proposal is a plan.
    Second(u32),
}

impl Answer {
    fn of(resolve: &Resolve, sizes: &SizeAlign, function: &wit_parser::Function) -> Result<Self> {
        let Some(Type::Id(id)) = &function.result else {
            bail!("a function that gives no result");
        };
        let TypeDefKind::Result(result) = &resolve.types[*id].kind else {
            bail!("a function that gives no result");
        };
        let Some(Type::Id(done)) = &result.ok else {
            return Ok(Self::Zeros);
        };
        let cases = [result.ok.as_ref(), result.err.as_ref()];
        let at = sizes.payload_offset(wit_parser::Int::U8, cases);
        let at = u32::try_from(at.size_wasm32())?;
        let done = &resolve.types[*done];
        Ok(match (&done.kind, done.name.as_deref()) {
            (TypeDefKind::Variant(_), Some("proposal")) => Self::Second(at),
            (TypeDefKind::List(Type::U8), _) if function.name == "enrich" => Self::Batch(at),
            (TypeDefKind::List(Type::F64), _) => Self::Opinions(at),
            (TypeDefKind::List(element @ Type::Id(id)), _)
                if resolve.types[*id].name.as_deref() == Some("decision") =>
            {
                let bytes = u32::try_from(sizes.size(element).size_wasm32())?;
                if OPINIONS + bytes * ROWS_MAX > BATCH {
                    bail!("decisions of {bytes} bytes have no room");
                }
                Self::Opinions(at)
            }
            _ => Self::Zeros,
        })
    }
}

/// Everything of a batch but how many rows it has and how long it is: columns of these kinds in which no row has a value.
fn without_values(kinds: &[u32]) -> Vec<u8> {
    let columns = kinds.len() as u32;
    let present = 16 + 32 * columns;
    let data = present + ROWS_MAX / 8;
    let mut bytes = b"TPB1".to_vec();
    let mut word = |number: u32| bytes.extend(number.to_le_bytes());
    for number in [data, 0, columns] {
        word(number);
    }
    for kind in kinds {
        for number in [*kind, present, data, 0, 0, 0, 0, 0] {
            word(number);
        }
    }
    bytes
}

#[derive(Default)]
struct Parts {
    types: TypeSection,
    functions: FunctionSection,
    exports: ExportSection,
    code: CodeSection,
    count: u32,
}

impl Parts {
    fn push(&mut self, name: &str, parameters: Vec<ValType>, function: &Function) {
        self.types.ty().function(parameters, [ValType::I32]);
        self.functions.function(self.count);
        self.exports.export(name, ExportKind::Func, self.count);
        self.code.function(function);
        self.count += 1;
    }

    fn function(&mut self, name: &str, parameters: Vec<ValType>, answer: Answer) -> Result<()> {
        let result = RESULTS + RESULT_BYTES * self.count;
        if result + RESULT_BYTES > OPINIONS {
            bail!("the world has too many functions");
        }
        let mut function = Function::new([]);
        let mut code = function.instructions();
        // What was given is done with, so the next call's arguments go to the same place.
        code.i32_const(HEAP as i32).global_set(0);
        match answer {
            Answer::Zeros => {}
            Answer::Second(at) => {
                code.i32_const(result as i32)
                    .i32_const(1)
                    .i32_store8(place(at, 0));
            }
            Answer::Opinions(at) => {
                code.i32_const(result as i32).i32_const(OPINIONS as i32);
                code.i32_store(place(at, 2)).i32_const(result as i32);
                rows(&mut code);
                code.i32_store(place(at + 4, 2));
            }
            Answer::Batch(at) => {
                code.i32_const(result as i32).i32_const(BATCH as i32);
                code.i32_store(place(at, 2)).i32_const(result as i32);
                length(&mut code);
                code.i32_store(place(at + 4, 2)).i32_const(BATCH as i32);
                length(&mut code);
                code.i32_store(place(4, 2)).i32_const(BATCH as i32);
                rows(&mut code);
                code.i32_store(place(8, 2));
            }
        }
        code.i32_const(result as i32).end();
        self.push(name, parameters, &function);
        Ok(())
    }

    fn module(mut self, batch: &[u8]) -> Vec<u8> {
        let mut allocate = Function::new([(1, ValType::I32)]);
        allocator(&mut allocate.instructions());
        self.push("cabi_realloc", vec![ValType::I32; 4], &allocate);
        self.exports.export("memory", ExportKind::Memory, 0);
        let mut memories = MemorySection::new();
        memories.memory(MemoryType {
            minimum: 2,
            maximum: None,
            memory64: false,
            shared: false,
            page_size_log2: None,
        });
        let mut globals = GlobalSection::new();
        let top = GlobalType {
            val_type: ValType::I32,
            mutable: true,
            shared: false,
        };
        globals.global(top, &ConstExpr::i32_const(HEAP as i32));
        // How long a batch without rows is, beside the batch: that says of itself how long it is with them.
        let mut data = DataSection::new();
        data.active(
            0,
            &ConstExpr::i32_const(BATCH as i32),
            batch.iter().copied(),
        );
        data.active(
            0,
            &ConstExpr::i32_const(BASE as i32),
            batch[4..8].iter().copied(),
        );
        let mut module = Module::new();
        module.section(&self.types);
        module.section(&self.functions);
        module.section(&memories);
        module.section(&globals);
        module.section(&self.exports);
        module.section(&self.code);
        module.section(&data);
        module.finish()
    }
}

/// Where the length of a batch without rows is kept.
const BASE: u32 = 512;

fn place(offset: u32, align: u32) -> MemArg {
    MemArg {
        offset: offset.into(),
        align,
        target: Default::default(),
        ordering: None,
    }
}

/// The rows of the batch that is the first argument.
fn rows(code: &mut InstructionSink<'_>) {
    code.local_get(0).i32_load(place(8, 2));
}

/// The length of the batch without values: 8 bytes a row suffice for any kind.
fn length(code: &mut InstructionSink<'_>) {
    rows(code);
    code.i32_const(3).i32_shl();
    code.i32_const(BASE as i32).i32_load(place(0, 2)).i32_add();
}

/// Gives the next free bytes, with the memory that is needed for them.
fn allocator(code: &mut InstructionSink<'_>) {
    code.global_get(0).i32_const(7).i32_add();
    code.i32_const(-8).i32_and().local_tee(4);
    code.local_get(3).i32_add().global_set(0);
    // Whole pages up to the end, less those that are there.
    code.global_get(0).i32_const(PAGE - 1).i32_add();
    code.i32_const(16).i32_shr_u().memory_size(0).i32_gt_u();
    code.if_(BlockType::Empty);
    code.global_get(0).i32_const(PAGE - 1).i32_add();
    code.i32_const(16).i32_shr_u().memory_size(0).i32_sub();
    code.memory_grow(0).i32_const(-1).i32_eq();
    code.if_(BlockType::Empty).unreachable().end();
    code.end();
    code.local_get(4).end();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_world_has_one() {
        let wit = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../wit"));
        let worlds = [
            "enricher",
            "detector",
            "stateful-detector",
            "scorer",
            "policy",
            "decoder",
            "remediator",
            "planner",
        ];
        for world in worlds {
            let manifest = format!("[plugin]\nworld = \"{world}\"\n[capabilities]\nlog = true\n");
            let made = empty(&manifest, wit, &[1, 5]);
            let made = made.unwrap_or_else(|fault| panic!("{world}: {fault:#}"));
            assert!(wasmparser::Parser::is_component(&made), "{world}");
        }
        assert!(empty("[plugin]\nworld = \"painter\"\n", wit, &[]).is_err());
    }

    #[test]
    fn a_batch_without_values_says_where_nothing_is() {
        let batch = without_values(&[4]);
        assert_eq!(batch.len(), 48);
        let word = |at: usize| {
            let bytes = batch[at..at + 4].try_into().expect("four bytes");
            u32::from_le_bytes(bytes)
        };
        // Its length without rows, kind, where it is said that no row has a value, and where values would be.
        let words = [4, 12, 16, 20, 24].map(word);
        assert_eq!(words, [176, 1, 4, 48, 176]);
    }
}

//! A module that stands for WASI and does nothing: compilers of C and Go link it, plugins have no use for it.
//!
//! It is made for the imports that a module has, each with the type it is imported with. The clock stands still, chance
//! is the same bytes each time, nothing is open, and leaving is a trap. Clock and chance must answer: the runtime of Go
//! asks for both before the first line of a plugin.

use anyhow::{Context, Result, bail};
use wasm_encoder::{
    BlockType, CodeSection, EntityType, ExportKind, ExportSection, Function, FunctionSection,
    ImportSection, InstructionSink, MemArg, MemoryType, Module, TypeSection, ValType,
};
use wasmparser::{CompositeInnerType, FuncType, Parser, Payload, TypeRef};

/// WASI's number for "no such file descriptor": it ends the search for folders.
const BAD_FILE: i32 = 8;
/// WASI's number for "not there".
const NOT_SUPPORTED: i32 = 52;

/// The adapter for the functions that `module` imports of `namespace`; nothing when there are none.
pub(crate) fn adapter(module: &[u8], namespace: &str) -> Result<Option<Vec<u8>>> {
    let mut types = Vec::new();
    let mut wanted: Vec<(String, FuncType)> = Vec::new();
    for payload in Parser::new(0).parse_all(module) {
        match payload? {
            Payload::TypeSection(section) => {
                for group in section {
                    for ty in group?.into_types() {
                        types.push(ty.composite_type.inner);
                    }
                }
            }
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    let import = import?;
                    let (true, TypeRef::Func(ty)) = (import.module == namespace, import.ty) else {
                        continue;
                    };
                    let Some(CompositeInnerType::Func(ty)) = types.get(ty as usize) else {
                        bail!("import `{}` has no type", import.name);
                    };
                    let is_known = wanted.iter().any(|(name, _)| name == import.name);
                    if !is_known {
                        wanted.push((import.name.to_owned(), ty.clone()));
                    }
                }
            }
            _ => {}
        }
    }
    match wanted.is_empty() {
        true => Ok(None),
        false => module_of(&wanted).map(Some),
    }
}

fn module_of(wanted: &[(String, FuncType)]) -> Result<Vec<u8>> {
    let mut types = TypeSection::new();
    let mut functions = FunctionSection::new();
    let mut exports = ExportSection::new();
    let mut code = CodeSection::new();
    let mut imports = ImportSection::new();
    let memory = MemoryType {
        minimum: 0,
        maximum: None,
        memory64: false,
        shared: false,
        page_size_log2: None,
    };
    imports.import("env", "memory", EntityType::Memory(memory));
    for (number, (name, ty)) in wanted.iter().enumerate() {
        let number = u32::try_from(number).context("too many imports")?;
        types
            .ty()
            .function(values(ty.params())?, values(ty.results())?);
        functions.function(number);
        exports.export(name, ExportKind::Func, number);
        let mut function = Function::new([(1, ValType::I32)]);
        let local = u32::try_from(ty.params().len()).context("too many parameters")?;
        body(name, ty, local, &mut function.instructions());
        code.function(&function);
    }
    let mut module = Module::new();
    module.section(&types);
    module.section(&imports);
    module.section(&functions);
    module.section(&exports);
    module.section(&code);
    Ok(module.finish())
}

fn values(types: &[wasmparser::ValType]) -> Result<Vec<ValType>> {
    let value = |ty: &wasmparser::ValType| match ty {
        wasmparser::ValType::I32 => Ok(ValType::I32),
        wasmparser::ValType::I64 => Ok(ValType::I64),
        wasmparser::ValType::F32 => Ok(ValType::F32),
        wasmparser::ValType::F64 => Ok(ValType::F64),
        other => bail!("an import of WASI has a parameter of type {other}"),
    };
    types.iter().map(value).collect()
}

fn body(name: &str, ty: &FuncType, local: u32, code: &mut InstructionSink<'_>) {
    let at = |align| MemArg {
        offset: 0,
        align,
        target: Default::default(),
        ordering: None,
    };
    match name {
        // Where, and how many: no arguments, no variables.
        "args_sizes_get" | "environ_sizes_get" => {
            code.local_get(0).i32_const(0).i32_store(at(2));
            code.local_get(1).i32_const(0).i32_store(at(2));
            code.i32_const(0);
        }
        "args_get" | "environ_get" | "sched_yield" | "fd_close" => {
            code.i32_const(0);
        }
        // Which clock, how exactly, where: the first millisecond, since some runtimes take 0 for a failure.
        "clock_time_get" => {
            code.local_get(2).i64_const(1_000_000).i64_store(at(3));
            code.i32_const(0);
        }
        "clock_res_get" => {
            code.local_get(1).i64_const(1_000_000).i64_store(at(3));
            code.i32_const(0);
        }
        // Where, how much: bytes that differ from one another.
        "random_get" => {
            code.block(BlockType::Empty).loop_(BlockType::Empty);
            code.local_get(local).local_get(1).i32_ge_u().br_if(1);
            code.local_get(0).local_get(local).i32_add();
            code.local_get(local).i32_const(0x9e37_79b1_u32 as i32);
            code.i32_mul().i32_const(24).i32_shr_u().i32_store8(at(0));
            code.local_get(local)
                .i32_const(1)
                .i32_add()
                .local_set(local);
            code.br(0).end().end();
            code.i32_const(0);
        }
        // Waiting: it is over at once. The first subscription's user data is at its beginning, as in the event.
        "poll_oneoff" => {
            code.local_get(1)
                .local_get(0)
                .i64_load(at(3))
                .i64_store(at(3));
            code.local_get(1)
                .i32_const(8)
                .i32_add()
                .i64_const(0)
                .i64_store(at(3));
            code.local_get(3).i32_const(1).i32_store(at(2));
            code.i32_const(0);
        }
        "proc_exit" => {
            code.unreachable();
        }
        _ if ty.results() == [wasmparser::ValType::I32] => {
            let is_of_files = name.starts_with("fd_");
            code.i32_const(if is_of_files { BAD_FILE } else { NOT_SUPPORTED });
        }
        _ => {
            code.unreachable();
        }
    }
    code.end();
}

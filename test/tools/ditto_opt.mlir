// RUN: ditto-opt %s --split-input-file | filecheck %s
// RUN: ditto-opt --split-input-file < %s | filecheck %s
// RUN: ditto-opt - --split-input-file < %s | filecheck %s
// RUN: ditto-opt %s --split-input-file -o %t && filecheck %s < %t
// RUN: ditto-opt %s --split-input-file --mlir-print-op-generic | filecheck %s --check-prefix=GENERIC
// RUN: ditto-opt %s --split-input-file --mlir-print-debuginfo | filecheck %s --check-prefix=DEBUG
// RUN: ditto-opt %s --split-input-file --pass-pipeline='builtin.module(inline-calls,func.func(cse))' --mlir-print-ir-after=inline-calls 2>&1 | filecheck %s --check-prefix=AFTER
// RUN: ditto-opt %s --split-input-file --inline-calls --cse --mlir-timing 2>&1 | filecheck %s --check-prefix=TIMING
// RUN: ditto-opt --show-pipeline --cse --ditto-annotate='policy=uniform64' --cse | filecheck %s --check-prefix=SHOW
// RUN: not ditto-opt %s --no-such-pass 2>&1 | filecheck %s --check-prefix=UNKNOWN
// RUN: not ditto-opt %s.missing 2>&1 | filecheck %s --check-prefix=MISSING

// CHECK-LABEL: func.func @first(
// CHECK:       // -----
// CHECK-LABEL: func.func @second(
// GENERIC:     "func.func"
// GENERIC:     "stablehlo.add"
// DEBUG:       ditto_opt.mlir":26:8)
// AFTER:       // -----// IR Dump After inline-calls //----- //
// TIMING:      ... Execution time report ...
// TIMING:      inline-calls
// TIMING:      Total
// SHOW:        builtin.module(cse,ditto-annotate{policy=uniform64},cse)
func.func @first(%x: tensor<4xf32>) -> tensor<4xf32> {
  // DEBUG names the real file and line.
  %0 = stablehlo.add %x, %x : tensor<4xf32>
  return %0 : tensor<4xf32>
}

// UNKNOWN:     ditto-opt: error: there is no option or pass '--no-such-pass'
// MISSING:     ditto-opt: error: cannot read '{{.*}}ditto_opt.mlir.missing': No such file or directory

// -----

func.func @second(%x: tensor<4xf32>) -> tensor<4xf32> {
  return %x : tensor<4xf32>
}

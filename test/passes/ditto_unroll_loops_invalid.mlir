// RUN: not ditto-opt %s --ditto-unroll-loops=max-ops=-1 2>&1 | filecheck %s --check-prefix=NEGATIVE
// RUN: ditto-opt %s --verify-diagnostics --ditto-unroll-loops

// NEGATIVE: max-ops must be a number of ops, 0 or more, got -1
// expected-error @+1 {{'builtin.module' op: ditto-annotate has run already; run this pass before it}}
module attributes {ditto.stage = "annotated"} {
  func.func @main(%x: tensor<f32, #ditto.fxp<64, 18>> {ditto.visibility = "secret"}) -> tensor<f32, #ditto.fxp<64, 18>> {
    return %x : tensor<f32, #ditto.fxp<64, 18>>
  }
}

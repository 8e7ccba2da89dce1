// RUN: ditto-opt %s --split-input-file --ditto-expand-gather --verify-diagnostics

// expected-error @+1 {{'builtin.module' op: ditto-annotate has run already; run this pass before it}}
module attributes {ditto.stage = "annotated"} {
  func.func @annotated(%x: tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<64, 18>> {
    return %x : tensor<4xf32, #ditto.fxp<64, 18>>
  }
}

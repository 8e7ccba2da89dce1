// RUN: ditto-opt %s --split-input-file --ditto-expand-bounds --verify-diagnostics
// RUN: not ditto-opt %s --ditto-expand-bounds='margin=0.5' 2>&1 | filecheck %s --check-prefix=MARGIN
// RUN: not ditto-opt %s --ditto-expand-bounds='most=-1' 2>&1 | filecheck %s --check-prefix=MOST

// MARGIN: margin must be a number from 1 on, got 0.5
// MOST: most must be at least 0, got -1

// expected-error @+1 {{'builtin.module' op: ditto-annotate has run already; run this pass before it}}
module attributes {ditto.stage = "annotated"} {
  func.func @annotated(%x: tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<64, 18>> {
    return %x : tensor<4xf32, #ditto.fxp<64, 18>>
  }
}

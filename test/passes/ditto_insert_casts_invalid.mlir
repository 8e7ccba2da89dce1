// RUN: ditto-opt %s --split-input-file --verify-diagnostics --ditto-insert-casts

// expected-error @+1 {{[ditto-insert-casts] 'builtin.module' op: the module is not annotated; run ditto-annotate first}}
module {
  func.func @not_annotated(%x: tensor<4xf32>) -> tensor<4xf32> {
    return %x : tensor<4xf32>
  }
}

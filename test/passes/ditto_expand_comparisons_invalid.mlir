// RUN: ditto-opt %s --verify-diagnostics --ditto-expand-comparisons

// expected-error @+1 {{[ditto-expand-comparisons] 'builtin.module' op: the module has no explicit casts; run ditto-insert-casts first}}
module {
  func.func @not_cast(%x: tensor<4xf32>) -> tensor<4xf32> {
    return %x : tensor<4xf32>
  }
}

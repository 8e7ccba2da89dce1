// RUN: ditto-opt %s --verify-diagnostics --ditto-expand-reductions

// expected-error @+1 {{[ditto-expand-reductions] 'builtin.module' op: the module has no explicit casts; run ditto-insert-casts first}}
module {
  func.func @not_cast(%x: tensor<4xf32>) -> tensor<4xf32> {
    return %x : tensor<4xf32>
  }
}

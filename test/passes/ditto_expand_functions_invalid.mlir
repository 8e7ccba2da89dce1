// RUN: ditto-opt %s --verify-diagnostics --ditto-expand-functions

// expected-error @+1 {{[ditto-expand-functions] 'builtin.module' op: the module has no explicit casts; run ditto-insert-casts first}}
module {
  func.func @no_casts(%x: tensor<4xf32>) -> tensor<4xf32> {
    return %x : tensor<4xf32>
  }
}

// RUN: ditto-opt %s --split-input-file --verify-diagnostics --ditto-approximate='gelu=nope'

// expected-error @+1 {{there is no form 'nope' of gelu (forms: exact, puma, quartic, sextic, quad)}}
module {
  func.func @no_such_form(%x: tensor<4xf32>) -> tensor<4xf32> {
    return %x : tensor<4xf32>
  }
}

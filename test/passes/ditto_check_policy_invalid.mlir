// RUN: ditto-opt %s --split-input-file --verify-diagnostics --ditto-check-policy='policy=%S/Inputs/scopes_unknown.toml'
// RUN: not ditto-opt %s --ditto-check-policy='policy=dito' 2>&1 | filecheck %s --check-prefix=POLICY

// POLICY: error: [ditto-check-policy] {{.*}} no policy 'dito'; did you mean 'ditto'?

// expected-error @+3 {{[ditto-check-policy] 'builtin.module' op: rule 'a narrow layer' of policy 'scopes-unknown': no scope of the program matches '*/layr1/*'; the closest: layer1, layer0. A pattern is for a whole name stack, such as 'jit(f)/encoder/layer1/neg', so it mostly begins and ends with *}}
// expected-error @+2 {{rule 'a whole name' of policy 'scopes-unknown': no scope of the program matches 'layer0'; the closest: layer0, layer1. A pattern is for a whole name stack, such as 'jit(f)/encoder/layer0/tanh'}}
// expected-error @+1 {{forms.scopes[0] of policy 'scopes-unknown': no scope of the program matches '*/decoder/layer1/*'; the closest: encoder/layer1, encoder/layer0.}}
module {
  func.func @misspelt(%x: tensor<f32>) -> tensor<f32> {
    %0 = stablehlo.tanh %x : tensor<f32> loc("jit(f)/encoder/layer0/tanh")
    %1 = stablehlo.negate %0 : tensor<f32> loc("jit(f)/encoder/layer1/neg")
    return %1 : tensor<f32>
  }
}

// -----

// expected-error @+4 {{no scope of the program matches '*/layer0/*'; it has no named scopes (see jax.named_scope)}}
// expected-error @+3 {{no scope of the program matches '*/layr1/*'; it has no named scopes}}
// expected-error @+2 {{no scope of the program matches 'layer0'; it has no named scopes}}
// expected-error @+1 {{no scope of the program matches '*/decoder/layer1/*'; it has no named scopes}}
module {
  func.func @no_scopes(%x: tensor<f32>) -> tensor<f32> {
    %0 = stablehlo.tanh %x : tensor<f32> loc("jit(f)/jit(main)/tanh")
    return %0 : tensor<f32>
  }
}

// RUN: ditto-opt %s --split-input-file --ditto-approximate='gelu=pumma' --verify-diagnostics
// RUN: not ditto-opt %s --ditto-approximate='policy=dito' 2>&1 | filecheck %s --check-prefix=POLICY
// RUN: not ditto-opt %s --ditto-approximate='policy=%S/Inputs/forms_invalid.toml' 2>&1 | filecheck %s --check-prefix=FILE

// POLICY: error: [ditto-approximate] {{.*}} no policy 'dito'; did you mean 'ditto'?
// FILE: error: [ditto-approximate] {{.*}}forms_invalid.toml: forms.scopes[0]: there are no forms of 'gelo'; did you mean 'gelu'?

// expected-error @+1 {{[ditto-approximate] 'builtin.module' op: the options: there is no form 'pumma' of gelu; did you mean 'puma'? (forms: exact, puma, quartic, sextic, quad, oneshot)}}
module {
}

// -----

// expected-error @+1 {{'builtin.module' op: ditto-annotate has run already; run this pass before it}}
module attributes {ditto.stage = "annotated"} {
  func.func @annotated(%x: tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<64, 18>> {
    return %x : tensor<4xf32, #ditto.fxp<64, 18>>
  }
}

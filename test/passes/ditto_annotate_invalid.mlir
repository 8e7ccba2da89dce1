// RUN: ditto-opt %s --split-input-file --verify-diagnostics --ditto-annotate='policy=%S/Inputs/division.toml'

func.func @op_in_wrong_ring(%x: tensor<4xf32>) -> tensor<4xf32> {
  // expected-error @+1 {{[ditto-annotate] 'stablehlo.divide' op: rule 'narrow division' of policy 'division' puts it in ring 32, but the engine runs it only in ring 64 or 128; give it a rule with ring = 64}}
  %0 = stablehlo.divide %x, %x : tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

func.func @exponential_in_ring_32(%x: tensor<4xf32>) -> tensor<4xf32> {
  // expected-error @+1 {{'stablehlo.exponential' op: rule 'narrow exponential' of policy 'division' puts it in ring 32, but the engine runs it only in ring 64 or 128}}
  %0 = stablehlo.exponential %x : tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

func.func @user_asks_for_wrong_ring(%x: tensor<4xf32>) -> tensor<4xf32> {
  // expected-error @+1 {{'stablehlo.log' op: what the op itself asks for puts it in ring 32}}
  %0 = stablehlo.log %x {ditto.ring = 32 : i32, ditto.frac = 8 : i32} : tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

func.func @loop_in_wrong_ring(%x: tensor<f32>, %i: tensor<i32> {ditto.visibility = "public"}) -> tensor<f32> {
  %0:2 = stablehlo.while(%n = %i, %s = %x) : tensor<i32>, tensor<f32>
    cond {
      %c = stablehlo.constant dense<3> : tensor<i32>
      %1 = stablehlo.compare LT, %n, %c : (tensor<i32>, tensor<i32>) -> tensor<i1>
      stablehlo.return %1 : tensor<i1>
    } do {
      // expected-error @+1 {{'stablehlo.rsqrt' op: the 'stablehlo.while' that holds it puts it in ring 32}}
      %1 = stablehlo.rsqrt %s : tensor<f32>
      stablehlo.return %n, %1 : tensor<i32>, tensor<f32>
    }
  return %0#1 : tensor<f32>
}

// -----

func.func @no_fraction_bits(%x: tensor<4xf32>) -> tensor<4xf32> {
  // expected-error @+1 {{'stablehlo.add' op: policy 'division' sets no fraction bits for ring 128; give the rule a frac}}
  %0 = stablehlo.add %x, %x {ditto.ring = 128 : i32} : tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

func.func @too_many_fraction_bits(%x: tensor<4xf32>) -> tensor<4xf32> {
  // expected-error @+1 {{'stablehlo.add' op: fraction bits must be in [0, 30] for ring 32, got 31}}
  %0 = stablehlo.add %x, %x {ditto.ring = 32 : i32, ditto.frac = 31 : i32} : tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

func.func @unsupported_op(%x: tensor<4xf32>) -> tensor<4xf32> {
  // expected-error @+1 {{'stablehlo.cbrt' op: cannot be annotated; run inline-calls and ditto-check-supported first}}
  %0 = stablehlo.cbrt %x : tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

// expected-error @+1 {{'builtin.module' op: there is no entry function to annotate}}
module {
}

// -----

// expected-error @+1 {{'builtin.module' op: the module has casts already; annotate the program it came from}}
module attributes {ditto.stage = "cast"} {
  func.func @cast_already(%x: tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<64, 18>> {
    return %x : tensor<4xf32, #ditto.fxp<64, 18>>
  }
}

// -----

// expected-error @+1 {{'func.func' op: cannot be annotated; run inline-calls and ditto-check-supported first (argument 0: elements of type f8E4M3FN cannot be secret-shared}}
func.func @unshareable(%x: tensor<4xf8E4M3FN>, %y: tensor<4xf32>) -> tensor<4xf32> {
  // expected-error @+1 {{'other.op' op: cannot be annotated; run inline-calls and ditto-check-supported first (values must be ranked tensors, found '!other.type')}}
  %0 = "other.op"(%y) : (tensor<4xf32>) -> !other.type
  return %y : tensor<4xf32>
}

// RUN: ditto-opt %s --split-input-file --ditto-annotate | filecheck %s
// RUN: ditto-opt %s --split-input-file --ditto-annotate='policy=uniform64' | filecheck %s --check-prefix=U64
// RUN: ditto-opt %s --split-input-file --ditto-annotate='policy=dtype' | filecheck %s --check-prefix=DTYPE
// RUN: ditto-opt %s --split-input-file --ditto-annotate='policy=%S/Inputs/scopes.toml' | filecheck %s --check-prefix=RULES

// The paper's mapping: products narrow, the function of them wide; arguments by their dtype.
// CHECK-LABEL: func.func @linear_then_exponential(
// CHECK-SAME:    %arg0: tensor<2x8xf32, #ditto.fxp<64, 18>>, %arg1: tensor<8x4xf32, #ditto.fxp<64, 18>>)
// CHECK-SAME:    -> tensor<2x4xf32, #ditto.fxp<64, 18>>
// CHECK:         stablehlo.dot_general {{.*}} -> tensor<2x4xf32, #ditto.fxp<32, 10>>
// CHECK:         stablehlo.exponential {{.*}} -> tensor<2x4xf32, #ditto.fxp<64, 18>>
// U64-LABEL:   func.func @linear_then_exponential(
// U64:           stablehlo.dot_general {{.*}} -> tensor<2x4xf32, #ditto.fxp<64, 18>>
// U64:           stablehlo.exponential %{{.*}} : tensor<2x4xf32, #ditto.fxp<64, 18>>
func.func @linear_then_exponential(%x: tensor<2x8xf32>, %w: tensor<8x4xf32>) -> tensor<2x4xf32> {
  %0 = stablehlo.dot_general %x, %w, contracting_dims = [1] x [0] : (tensor<2x8xf32>, tensor<8x4xf32>) -> tensor<2x4xf32>
  %1 = stablehlo.exponential %0 : tensor<2x4xf32>
  return %1 : tensor<2x4xf32>
}

// -----

// The module says how far it has come.
// DTYPE:       module attributes {ditto.stage = "annotated"}
// DTYPE-LABEL: func.func @dtypes(
// DTYPE-SAME:    %arg0: tensor<4xf16, #ditto.fxp<32, 8>>, %arg1: tensor<4xbf16, #ditto.fxp<32, 8>>,
// DTYPE-SAME:    %arg2: tensor<4xf32, #ditto.fxp<64, 18>>, %arg3: tensor<4xf64, #ditto.fxp<128, 40>>,
// DTYPE-SAME:    %arg4: tensor<4xi1, #ditto.int<32>>, %arg5: tensor<4xi32, #ditto.int<32>>,
// DTYPE-SAME:    %arg6: tensor<4xui8, #ditto.int<32>>, %arg7: tensor<4xi64, #ditto.int<64>>)
func.func @dtypes(%a: tensor<4xf16>, %b: tensor<4xbf16>, %c: tensor<4xf32>, %d: tensor<4xf64>,
                  %e: tensor<4xi1>, %f: tensor<4xi32>, %g: tensor<4xui8>, %h: tensor<4xi64>) -> tensor<4xf32> {
  return %c : tensor<4xf32>
}

// -----

// What only moves elements, and comparisons, stay in the ring of what they read.
// CHECK-LABEL: func.func @followers(
// CHECK:         stablehlo.dot_general {{.*}} -> tensor<2x4xf32, #ditto.fxp<32, 10>>
// CHECK:         stablehlo.transpose {{.*}} -> tensor<4x2xf32, #ditto.fxp<32, 10>>
// CHECK:         stablehlo.compare {{.*}} -> tensor<4x2xi1, #ditto.int<32>>
// CHECK:         stablehlo.constant dense<1.000000e+00> : tensor<4x2xf32, #ditto.fxp<64, 18>>
// CHECK:         stablehlo.add {{.*}} -> tensor<4x2xf32, #ditto.fxp<32, 10>>
func.func @followers(%x: tensor<2x8xf32>, %w: tensor<8x4xf32>) -> (tensor<4x2xi1>, tensor<4x2xf32>) {
  %0 = stablehlo.dot_general %x, %w, contracting_dims = [1] x [0] : (tensor<2x8xf32>, tensor<8x4xf32>) -> tensor<2x4xf32>
  %1 = stablehlo.transpose %0, dims = [1, 0] : (tensor<2x4xf32>) -> tensor<4x2xf32>
  %2 = stablehlo.compare LT, %1, %1 : (tensor<4x2xf32>, tensor<4x2xf32>) -> tensor<4x2xi1>
  %one = stablehlo.constant dense<1.0> : tensor<4x2xf32>
  %3 = stablehlo.add %1, %one : tensor<4x2xf32>
  return %2, %3 : tensor<4x2xi1>, tensor<4x2xf32>
}

// -----

// Division by a constant is a multiplication, so it runs in ring 32; a division does not.
// CHECK-LABEL: func.func @division(
// CHECK:         stablehlo.divide {{.*}} -> tensor<2x4xf32, #ditto.fxp<32, 10>>
// CHECK:         stablehlo.divide {{.*}} -> tensor<2x4xf32, #ditto.fxp<64, 18>>
func.func @division(%x: tensor<2x4xf32>) -> (tensor<2x4xf32>, tensor<2x4xf32>) {
  %three = stablehlo.constant dense<3.0> : tensor<2x4xf32>
  %0 = stablehlo.divide %x, %three {ditto.ring = 32 : i32, ditto.frac = 10 : i32} : tensor<2x4xf32>
  %1 = stablehlo.divide %0, %0 : tensor<2x4xf32>
  return %0, %1 : tensor<2x4xf32>, tensor<2x4xf32>
}

// -----

// What cannot run in its dtype's ring gets the next wider encoding of the map; what can, stays.
// DTYPE-LABEL: func.func @lifted(
// DTYPE:         stablehlo.exponential {{.*}} -> tensor<4xbf16, #ditto.fxp<64, 18>>
// DTYPE:         stablehlo.divide {{.*}} -> tensor<4xbf16, #ditto.fxp<64, 18>>
// DTYPE:         stablehlo.tanh {{.*}} : tensor<4xbf16, #ditto.fxp<32, 8>>
// DTYPE:         stablehlo.exponential {{.*}} : tensor<4xf64, #ditto.fxp<128, 40>>
func.func @lifted(%x: tensor<4xbf16>, %d: tensor<4xf64>) -> (tensor<4xbf16>, tensor<4xbf16>, tensor<4xf64>) {
  %0 = stablehlo.exponential %x : tensor<4xbf16>
  %1 = stablehlo.divide %x, %x : tensor<4xbf16>
  %2 = stablehlo.add %0, %1 : tensor<4xbf16>
  %3 = stablehlo.tanh %x : tensor<4xbf16>
  %4 = stablehlo.exponential %d : tensor<4xf64>
  return %2, %3, %4 : tensor<4xbf16>, tensor<4xbf16>, tensor<4xf64>
}

// -----

// What the user put on an op beats every rule.
// CHECK-LABEL: func.func @user_attributes(
// CHECK:         stablehlo.multiply {{.*}} -> tensor<4xf32, #ditto.fxp<128, 30>>
// CHECK:         stablehlo.multiply {{.*}} -> tensor<4xf32, #ditto.fxp<128, 12>>
func.func @user_attributes(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = stablehlo.multiply %x, %x {ditto.ring = 128 : i32, ditto.frac = 30 : i32} : tensor<4xf32>
  %1 = stablehlo.multiply %0, %0 {ditto.frac = 12 : i32} : tensor<4xf32>
  return %1 : tensor<4xf32>
}

// -----

// Rules match on scope, rank, dtype and reducer; ring and frac come from different rules.
// RULES-LABEL: func.func @rules(
// RULES:         stablehlo.floor {{.*}} -> tensor<4xf32, #ditto.fxp<32, 8>>
// RULES:         stablehlo.multiply {{.*}} -> tensor<4xf32, #ditto.fxp<64, 20>>
// RULES:         stablehlo.multiply {{.*}} : tensor<f32, #ditto.fxp<64, 18>>
// RULES:         stablehlo.multiply {{.*}} -> tensor<4xf32, #ditto.fxp<32, 20>>
// RULES:         stablehlo.negate {{.*}} -> tensor<4xf16, #ditto.fxp<32, 6>>
// RULES:         stablehlo.reduce{{.*}} -> tensor<f32, #ditto.fxp<128, 40>>
func.func @rules(%x: tensor<4xf32>, %s: tensor<f32>, %h: tensor<4xf16>) -> (tensor<f32>, tensor<4xf16>, tensor<4xf32>, tensor<f32>, tensor<4xf32>) {
  %0 = stablehlo.floor %x : tensor<4xf32> loc("jit(f)/layer1/floor")
  %1 = stablehlo.multiply %x, %x : tensor<4xf32> loc("jit(f)/layer0/mul")
  %2 = stablehlo.multiply %s, %s : tensor<f32> loc("jit(f)/layer0/mul")
  %3 = stablehlo.multiply %0, %0 : tensor<4xf32> loc("jit(f)/layer1/mul")
  %4 = stablehlo.negate %h : tensor<4xf16>
  %zero = stablehlo.constant dense<0.0> : tensor<f32>
  %5 = stablehlo.reduce(%x init: %zero) applies stablehlo.add across dimensions = [0] : (tensor<4xf32>, tensor<f32>) -> tensor<f32>
  return %5, %4, %3, %2, %1 : tensor<f32>, tensor<4xf16>, tensor<4xf32>, tensor<f32>, tensor<4xf32>
}

// -----

// A loop stays whole, in the widest ring that something in it asks for: the exponential's.
// CHECK-LABEL: func.func @loop(
// CHECK:         stablehlo.while
// CHECK:         stablehlo.dot_general {{.*}} -> tensor<2x2xf32, #ditto.fxp<64, 18>>
// CHECK:         stablehlo.return {{.*}} : tensor<i32, #ditto.int<64>>, tensor<2x2xf32, #ditto.fxp<64, 18>>
func.func @loop(%x: tensor<2x2xf32>, %i: tensor<i32> {ditto.visibility = "public"}) -> tensor<2x2xf32> {
  %0:2 = stablehlo.while(%n = %i, %s = %x) : tensor<i32>, tensor<2x2xf32>
    cond {
      %c = stablehlo.constant dense<3> : tensor<i32>
      %1 = stablehlo.compare LT, %n, %c : (tensor<i32>, tensor<i32>) -> tensor<i1>
      stablehlo.return %1 : tensor<i1>
    } do {
      %1 = stablehlo.dot_general %s, %s, contracting_dims = [1] x [0] : (tensor<2x2xf32>, tensor<2x2xf32>) -> tensor<2x2xf32>
      %2 = stablehlo.exponential %1 : tensor<2x2xf32>
      stablehlo.return %n, %2 : tensor<i32>, tensor<2x2xf32>
    }
  return %0#1 : tensor<2x2xf32>
}

// -----

// StableHLO's verifier wants a sort's comparator without encodings.
// CHECK-LABEL: func.func @sort(
// CHECK:         "stablehlo.sort"(%arg0)
// CHECK-NEXT:    ^bb0(%{{.*}}: tensor<f32>, %{{.*}}: tensor<f32>):
// CHECK:         (tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<64, 18>>
func.func @sort(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = "stablehlo.sort"(%x) <{dimension = 0 : i64}> ({
  ^bb0(%a: tensor<f32>, %b: tensor<f32>):
    %1 = stablehlo.compare LT, %a, %b : (tensor<f32>, tensor<f32>) -> tensor<i1>
    stablehlo.return %1 : tensor<i1>
  }) : (tensor<4xf32>) -> tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

// No result of these conversions says in which scale the float is read: the first reads it as it is, of the
// second an attribute says so.
// CHECK-LABEL: func.func @float_to_integer(
// CHECK:         stablehlo.convert %{{.*}} : (tensor<2x4xf32, #ditto.fxp<32, 10>>) -> tensor<2x4xi32, #ditto.int<32>>
// CHECK:         stablehlo.convert %{{.*}} {ditto.frac = 18 : i32} : {{.*}} -> tensor<2x4xi64, #ditto.int<64>>
func.func @float_to_integer(%x: tensor<2x8xf32>, %w: tensor<8x4xf32>) -> (tensor<2x4xi32>, tensor<2x4xi64>) {
  %0 = stablehlo.dot_general %x, %w, contracting_dims = [1] x [0] : (tensor<2x8xf32>, tensor<8x4xf32>) -> tensor<2x4xf32>
  %1 = stablehlo.convert %0 : (tensor<2x4xf32>) -> tensor<2x4xi32>
  %2 = stablehlo.convert %0 : (tensor<2x4xf32>) -> tensor<2x4xi64>
  return %1, %2 : tensor<2x4xi32>, tensor<2x4xi64>
}

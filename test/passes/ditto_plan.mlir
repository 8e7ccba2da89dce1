// RUN: ditto-opt %s --split-input-file --ditto-plan='noise=2e-3 gap=1e-9' | filecheck %s
// RUN: ditto-opt %s --split-input-file --ditto-plan='noise=2e-3 gap=1e-9' --remarks --verify-diagnostics
// RUN: ditto-opt %s --split-input-file --ditto-plan='noise=2e-3 gap=1e-9' --ditto-assign-rings | filecheck %s --check-prefix=RINGS

// All choices of fraction bits and of bits to spare were tried (test/planning/test_enumeration.py has how): none costs
// less than 53760 bytes, a widening at 8192 included, and no other
// costs as little. The first product has nine fraction bits, which the second reads,
// and eight bits more in its ring than its numbers need, so that it need not be widened: 6 + 7 + 9 = 5 + 8 + 9.
// CHECK-LABEL: func.func @main(
// CHECK-NEXT:    %[[P:.*]] = stablehlo.multiply %arg0, %arg1 {{{.*}}ditto.fraction = 9 : i32, {{.*}}ditto.spare = 8 : i32}
// CHECK-NEXT:    stablehlo.multiply %[[P]], %arg2 {ditto.factors = array<i64: 9, 7>, ditto.fraction = 7 : i32, ditto.gain =
// RINGS-LABEL: func.func @main(
// RINGS:         stablehlo.multiply {{.*}} -> tensor<4096xf32, #ditto.fxp<22, 9>>
// RINGS-NEXT:    %[[Z:.*]] = "ditto.downcast"(%arg2) : {{.*}} -> tensor<4096xf32, #ditto.fxp<22, 7>>
// RINGS-NEXT:    stablehlo.multiply {{.*}}, %[[Z]] {{.*}} -> tensor<4096xf32, #ditto.fxp<13, 7>>
module attributes {ditto.stage = "cast"} {
  // expected-remark @+1 {{53760 bytes for a noise of}}
  func.func @main(%x: tensor<4096xf32, #ditto.fxp<64, 18>> {ditto.range = array<f64: -3.0, 3.0>}, %y: tensor<4096xf32, #ditto.fxp<64, 18>> {ditto.range = array<f64: -1.0, 1.0>}, %z: tensor<4096xf32, #ditto.fxp<64, 18>> {ditto.range = array<f64: -2.0, 2.0>}) -> tensor<4096xf32, #ditto.fxp<64, 18>> {
    %0 = stablehlo.multiply %x, %y {ditto.gain = array<f64: 700.0, 9.0, 3.0>, ditto.range = array<f64: -3.0, 3.0>} : tensor<4096xf32, #ditto.fxp<64, 18>>
    %1 = stablehlo.multiply %0, %z {ditto.gain = array<f64: 64.0, 500.0, 64.0>, ditto.range = array<f64: -5.0, 5.0>} : tensor<4096xf32, #ditto.fxp<64, 18>>
    return %1 : tensor<4096xf32, #ditto.fxp<64, 18>>
  }
}

// -----

// Layers that are alike are decided alike, though the second matters a thousand times as much.
// CHECK-LABEL: func.func @main(
// CHECK-NEXT:    stablehlo.multiply %arg0, %arg0 {{{.*}}ditto.fraction = [[F:[0-9]+]] : i32
// CHECK-NEXT:    stablehlo.multiply %arg1, %arg1 {{{.*}}ditto.fraction = [[F]] : i32
module attributes {ditto.stage = "cast"} {
  // expected-remark @+1 {{within 0.00% of the least}}
  func.func @main(%x: tensor<4096xf32, #ditto.fxp<64, 18>> {ditto.range = array<f64: -3.0, 3.0>}, %y: tensor<4096xf32, #ditto.fxp<64, 18>> {ditto.range = array<f64: -3.0, 3.0>}) -> (tensor<4096xf32, #ditto.fxp<64, 18>>, tensor<4096xf32, #ditto.fxp<64, 18>>) {
    %0 = stablehlo.multiply %x, %x {ditto.gain = array<f64: 1.0, 1.0, 1.0>, ditto.range = array<f64: 0.0, 9.0>} : tensor<4096xf32, #ditto.fxp<64, 18>> loc("jit(f)/layer0/mul")
    %1 = stablehlo.multiply %y, %y {ditto.gain = array<f64: 1000.0, 1.0, 1.0>, ditto.range = array<f64: 0.0, 9.0>} : tensor<4096xf32, #ditto.fxp<64, 18>> loc("jit(f)/layer1/mul")
    return %0, %1 : tensor<4096xf32, #ditto.fxp<64, 18>>, tensor<4096xf32, #ditto.fxp<64, 18>>
  }
}

// RUN: ditto-opt %s --split-input-file --ditto-insert-guards | filecheck %s

// What is measured is compared with its ends, where the proof says less: 12 for the product, not 6. Rounding
// moves the ends by 1/128 of 6, and 16 units of 2^-10.
// CHECK-LABEL: func.func @product(
// CHECK-SAME:    -> (tensor<4xf32, #ditto.fxp<32, 10>>, tensor<i1, #ditto.int<32>>)
// CHECK-SAME:    ditto.guards = [":stablehlo.multiply in [-6, 5], certain"]
// CHECK:         %[[P:.*]] = stablehlo.multiply %arg0, %arg1
// CHECK:         %[[FLAT:.*]] = stablehlo.reshape %[[P]] : (tensor<4xf32, #ditto.fxp<32, 10>>) -> tensor<4x1xf32, #ditto.fxp<32, 10>>
// CHECK:         %[[LOW:.*]] = stablehlo.constant dense<-6.062500e+00>
// CHECK:         %[[A:.*]] = stablehlo.compare LT, %[[FLAT]], %[[LOW]], FLOAT
// CHECK:         %[[HIGH:.*]] = stablehlo.constant dense<5.062500e+00>
// CHECK:         %[[B:.*]] = stablehlo.compare LT, %[[FLAT]], %[[HIGH]], FLOAT
// CHECK:         %[[IN:.*]] = stablehlo.xor %[[A]], %[[B]]
// CHECK-COUNT-2: stablehlo.and
// CHECK:         %[[ALL:.*]] = stablehlo.reshape %{{.*}} : (tensor<1x1xi1, #ditto.int<32>>) -> tensor<i1, #ditto.int<32>>
// CHECK:         return %[[P]], %[[ALL]]
module attributes {ditto.stage = "cast"} {
  func.func @product(%x: tensor<4xf32, #ditto.fxp<32, 10>> {ditto.range = array<f64: -3.0, 3.0>}, %y: tensor<4xf32, #ditto.fxp<32, 10>> {ditto.range = array<f64: -4.0, 4.0>}) -> tensor<4xf32, #ditto.fxp<32, 10>> {
    %0 = stablehlo.multiply %x, %y {ditto.range = array<f64: -6.0, 5.0>} : tensor<4xf32, #ditto.fxp<32, 10>>
    return %0 : tensor<4xf32, #ditto.fxp<32, 10>>
  }
}

// -----

// A wrap-around may go unnoticed where the proof is far beyond the ring.
// CHECK-LABEL: func.func @uncertain(
// CHECK-SAME:    ditto.guards = [":stablehlo.multiply in [-6, 5]"]
module attributes {ditto.stage = "cast"} {
  func.func @uncertain(%x: tensor<4xf32, #ditto.fxp<32, 10>> {ditto.range = array<f64: -3000.0, 3000.0>}) -> tensor<4xf32, #ditto.fxp<32, 10>> {
    %0 = stablehlo.multiply %x, %x {ditto.range = array<f64: -6.0, 5.0>} : tensor<4xf32, #ditto.fxp<32, 10>>
    return %0 : tensor<4xf32, #ditto.fxp<32, 10>>
  }
}

// -----

// What is proved, public, or an integer is not compared; nothing assumed is always true.
// CHECK-LABEL: func.func @nothing(
// CHECK-SAME:    ditto.guards = []
// CHECK-NOT:     stablehlo.compare
// CHECK:         %[[T:.*]] = stablehlo.constant dense<true> : tensor<i1, #ditto.int<32>>
// CHECK:         return %{{.*}}, %{{.*}}, %[[T]]
module attributes {ditto.stage = "cast"} {
  func.func @nothing(%x: tensor<4xf32, #ditto.fxp<32, 10>> {ditto.range = array<f64: -3.0, 3.0>}, %p: tensor<4xf32, #ditto.fxp<32, 10>> {ditto.visibility = "public"}) -> (tensor<4xf32, #ditto.fxp<32, 10>>, tensor<4xf32, #ditto.fxp<32, 10>>) {
    %0 = stablehlo.negate %x {ditto.range = array<f64: -3.0, 3.0>} : tensor<4xf32, #ditto.fxp<32, 10>>
    %1 = stablehlo.multiply %p, %p {ditto.range = array<f64: 0.0, 1.0>} : tensor<4xf32, #ditto.fxp<32, 10>>
    return %0, %1 : tensor<4xf32, #ditto.fxp<32, 10>>, tensor<4xf32, #ditto.fxp<32, 10>>
  }
}

// -----

// Booleans of ring 64 go to ring 32, where all meet.
// CHECK-LABEL: func.func @two_rings(
// CHECK:         %[[W:.*]] = "ditto.downcast"(%{{.*}}) : (tensor<4x1xi1, #ditto.int<64>>) -> tensor<4x1xi1, #ditto.int<32>>
// CHECK:         stablehlo.concatenate %{{.*}}, %[[W]], dim = 0
module attributes {ditto.stage = "cast"} {
  func.func @two_rings(%x: tensor<4xf32, #ditto.fxp<32, 10>>, %y: tensor<4xf32, #ditto.fxp<64, 18>>) -> (tensor<4xf32, #ditto.fxp<32, 10>>, tensor<4xf32, #ditto.fxp<64, 18>>) {
    %0 = stablehlo.multiply %x, %x {ditto.range = array<f64: 0.0, 5.0>} : tensor<4xf32, #ditto.fxp<32, 10>>
    %1 = stablehlo.multiply %y, %y {ditto.range = array<f64: 0.0, 5.0>} : tensor<4xf32, #ditto.fxp<64, 18>>
    return %0, %1 : tensor<4xf32, #ditto.fxp<32, 10>>, tensor<4xf32, #ditto.fxp<64, 18>>
  }
}

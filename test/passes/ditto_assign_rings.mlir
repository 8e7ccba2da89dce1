// RUN: ditto-opt %s --split-input-file --ditto-assign-rings=round-bits=0 | filecheck %s
// RUN: ditto-opt %s --split-input-file --ditto-assign-rings | filecheck %s --check-prefix=ROUNDS

// 5 needs 3 bits, a sign, a spare and the margin; 15 significant bits are 12 behind the point, but 14 are kept. The
// operands have the integer bits of the product and room for both fractions: 6 + 14 + 15. The product drops 15 bits and
// their place in the ring; what is returned is shifted left into a whole word.
// CHECK-LABEL: func.func @products(
// CHECK-SAME:      %arg0: tensor<2x8xf32, #ditto.fxp<64, 14>>
// CHECK-SAME:      %arg1: tensor<8x4xf32, #ditto.fxp<64, 15>>
// CHECK-SAME:      -> tensor<2x4xf32, #ditto.fxp<32, 26>>
// CHECK-NEXT:    %[[X:.*]] = "ditto.downcast"(%arg0) : {{.*}} -> tensor<2x8xf32, #ditto.fxp<35, 14>>
// CHECK-NEXT:    %[[W:.*]] = "ditto.downcast"(%arg1) : {{.*}} -> tensor<8x4xf32, #ditto.fxp<35, 15>>
// CHECK-NEXT:    %[[P:.*]] = stablehlo.dot_general %[[X]], %[[W]], contracting_dims = [1] x [0] {ditto.beside, {{.*}} -> tensor<2x4xf32, #ditto.fxp<20, 14>>
// CHECK-NEXT:    %[[R:.*]] = "ditto.upcast"(%[[P]]) : {{.*}} -> tensor<2x4xf32, #ditto.fxp<32, 26>>
// CHECK-NEXT:    return %[[R]]
module attributes {ditto.stage = "cast"} {
  func.func @products(%x: tensor<2x8xf32, #ditto.fxp<64, 18>> {ditto.range = array<f64: -3.0, 3.0>}, %w: tensor<8x4xf32, #ditto.fxp<64, 18>> {ditto.range = array<f64: -1.0, 1.0>}) -> tensor<2x4xf32, #ditto.fxp<64, 18>> {
    %0 = stablehlo.dot_general %x, %w, contracting_dims = [1] x [0] {ditto.range = array<f64: -5.0, 5.0>} : (tensor<2x8xf32, #ditto.fxp<64, 18>>, tensor<8x4xf32, #ditto.fxp<64, 18>>) -> tensor<2x4xf32, #ditto.fxp<64, 18>>
    return %0 : tensor<2x4xf32, #ditto.fxp<64, 18>>
  }
}

// -----

// A large product stays in words of 32 bits: 6 + 12 + 14, and each operand keeps 11 significant bits or more.
// CHECK-LABEL: func.func @large(
// CHECK-SAME:      %arg0: tensor<128x1024xf32, #ditto.fxp<32, 12>>
// CHECK-SAME:      %arg1: tensor<1024x1024xf32, #ditto.fxp<32, 14>>
// CHECK-NEXT:    stablehlo.dot_general %arg0, %arg1, {{.*}}ditto.beside, {{.*}} -> tensor<128x1024xf32, #ditto.fxp<20, 14>>
module attributes {ditto.stage = "cast"} {
  func.func @large(%x: tensor<128x1024xf32, #ditto.fxp<64, 18>> {ditto.range = array<f64: -3.0, 3.0>}, %w: tensor<1024x1024xf32, #ditto.fxp<64, 18>> {ditto.range = array<f64: -1.0, 1.0>}) -> tensor<128x1024xf32, #ditto.fxp<64, 18>> {
    %0 = stablehlo.dot_general %x, %w, contracting_dims = [1] x [0] {ditto.range = array<f64: -5.0, 5.0>} : (tensor<128x1024xf32, #ditto.fxp<64, 18>>, tensor<1024x1024xf32, #ditto.fxp<64, 18>>) -> tensor<128x1024xf32, #ditto.fxp<64, 18>>
    return %0 : tensor<128x1024xf32, #ditto.fxp<64, 18>>
  }
}

// -----

// Two products are added in the ring that their sum needs, and widened once: after the sum. If a round counts more
// than the bytes, which are few here, the products are made wide enough for all that follows.
// CHECK-LABEL: func.func @sum(
// CHECK:         %[[P:.*]] = stablehlo.multiply %{{.*}}, %{{.*}} {ditto.beside, {{.*}} -> tensor<8x8xf32, #ditto.fxp<21, 14>>
// CHECK:         %[[Q:.*]] = stablehlo.multiply %{{.*}}, %{{.*}} {ditto.beside, {{.*}} -> tensor<8x8xf32, #ditto.fxp<21, 14>>
// CHECK-NEXT:    %[[S:.*]] = stablehlo.add %[[P]], %[[Q]] {ditto.beside, {{.*}} : tensor<8x8xf32, #ditto.fxp<21, 14>>
// CHECK-NEXT:    %[[U:.*]] = "ditto.upcast"(%[[S]]) : (tensor<8x8xf32, #ditto.fxp<21, 14>>) -> tensor<8x8xf32, #ditto.fxp<36, 14>>
// CHECK-NEXT:    stablehlo.multiply %[[U]]
// ROUNDS-LABEL: func.func @sum(
// ROUNDS:        stablehlo.multiply %{{.*}}, %{{.*}} {ditto.beside, {{.*}} -> tensor<8x8xf32, #ditto.fxp<36, 14>>
// ROUNDS:        stablehlo.multiply %{{.*}}, %{{.*}} {ditto.beside, {{.*}} -> tensor<8x8xf32, #ditto.fxp<36, 14>>
// ROUNDS-NEXT:   %[[S:.*]] = stablehlo.add %{{.*}}, %{{.*}} {ditto.beside, {{.*}} : tensor<8x8xf32, #ditto.fxp<36, 14>>
// ROUNDS:        stablehlo.multiply %[[S]]
module attributes {ditto.stage = "cast"} {
  func.func @sum(%x: tensor<8x8xf32, #ditto.fxp<64, 18>> {ditto.range = array<f64: -3.0, 3.0>}, %y: tensor<8x8xf32, #ditto.fxp<64, 18>> {ditto.range = array<f64: -1.0, 1.0>}) -> tensor<8x8xf32, #ditto.fxp<64, 18>> {
    %0 = stablehlo.multiply %x, %y {ditto.range = array<f64: -3.0, 3.0>} : tensor<8x8xf32, #ditto.fxp<64, 18>>
    %1 = stablehlo.multiply %x, %x {ditto.range = array<f64: 0.0, 9.0>} : tensor<8x8xf32, #ditto.fxp<64, 18>>
    %2 = stablehlo.add %0, %1 {ditto.range = array<f64: -3.0, 12.0>} : tensor<8x8xf32, #ditto.fxp<64, 18>>
    %3 = stablehlo.multiply %2, %y {ditto.range = array<f64: -12.0, 12.0>} : tensor<8x8xf32, #ditto.fxp<64, 18>>
    return %3 : tensor<8x8xf32, #ditto.fxp<64, 18>>
  }
}

// -----

// A row is made wide enough before it is broadcast; it comes from a product, so in a wider ring at once.
// CHECK-LABEL: func.func @broadcast(
// CHECK:         %[[S:.*]] = stablehlo.multiply %[[X:.*]], %[[X]] {ditto.beside, {{.*}} -> tensor<8xf32, #ditto.fxp<36, 14>>
// CHECK-NEXT:    %[[B:.*]] = stablehlo.broadcast_in_dim %[[S]], dims = [0] {ditto.beside} : (tensor<8xf32, #ditto.fxp<36, 14>>) -> tensor<8x8xf32, #ditto.fxp<36, 14>>
// CHECK:         stablehlo.multiply %[[B]]
module attributes {ditto.stage = "cast"} {
  func.func @broadcast(%x: tensor<8xf32, #ditto.fxp<64, 18>> {ditto.range = array<f64: -3.0, 3.0>}, %y: tensor<8x8xf32, #ditto.fxp<64, 18>> {ditto.range = array<f64: -1.0, 1.0>}) -> tensor<8x8xf32, #ditto.fxp<64, 18>> {
    %0 = stablehlo.multiply %x, %x {ditto.range = array<f64: 0.0, 9.0>} : tensor<8xf32, #ditto.fxp<64, 18>>
    %1 = stablehlo.broadcast_in_dim %0, dims = [0] : (tensor<8xf32, #ditto.fxp<64, 18>>) -> tensor<8x8xf32, #ditto.fxp<64, 18>>
    %2 = stablehlo.multiply %1, %y {ditto.range = array<f64: -9.0, 9.0>} : tensor<8x8xf32, #ditto.fxp<64, 18>>
    return %2 : tensor<8x8xf32, #ditto.fxp<64, 18>>
  }
}

// -----

// A function is fitted here, for the ring of its argument and that of its result.
// CHECK-LABEL: func.func @function(
// CHECK-NEXT:    %[[X:.*]] = "ditto.downcast"(%arg0) : (tensor<4xf32, #ditto.fxp<32, 12>>) -> tensor<4xf32, #ditto.fxp<22, 12>>
// CHECK-NEXT:    "ditto.oneshot"(%[[X]]) {ditto.beside, ditto.max_abs = {{.*}}, of = "tanh", terms = {{.*}}kind = "fourier"{{.*}} -> tensor<4xf32, #ditto.fxp<18, 15>>
// CHECK-NOT:     func.func private @tanh
module attributes {ditto.stage = "cast"} {
  func.func @function(%x: tensor<4xf32, #ditto.fxp<64, 18>> {ditto.range = array<f64: -4.0, 4.0>}) -> tensor<4xf32, #ditto.fxp<64, 18>> {
    %0 = "ditto.oneshot"(%x) {function = @tanh, otherwise = @tanh, error = 1.0e-3 : f64, low = -4.0 : f64, high = 4.0 : f64} : (tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<64, 18>>
    return %0 : tensor<4xf32, #ditto.fxp<64, 18>>
  }
  func.func private @tanh(%x: tensor<4xf32>) -> tensor<4xf32> {
    %0 = stablehlo.tanh %x : tensor<4xf32>
    return %0 : tensor<4xf32>
  }
}

// -----

// Of numbers nothing is known of: as many fraction bits as the policy says, and what the engine would have room for.
// The engine's op has its operand in the engine's ring.
// CHECK-LABEL: func.func @engine(
// CHECK-SAME:      %arg0: tensor<4xf32, #ditto.fxp<64, 18>>, %arg1: tensor<4xf32, #ditto.fxp<64, 18>>
// CHECK-NEXT:    %[[P:.*]] = stablehlo.multiply %arg0, %arg1 {ditto.beside} : {{.*}} -> tensor<4xf32, #ditto.fxp<46, 18>>
// CHECK-NEXT:    %[[U:.*]] = "ditto.upcast"(%[[P]]) : (tensor<4xf32, #ditto.fxp<46, 18>>) -> tensor<4xf32, #ditto.fxp<64, 18>>
// CHECK-NEXT:    %[[S:.*]] = stablehlo.sine %[[U]] : tensor<4xf32, #ditto.fxp<64, 18>>
// CHECK-NEXT:    stablehlo.multiply %[[S]], %arg1 {ditto.beside} : {{.*}} -> tensor<4xf32, #ditto.fxp<46, 18>>
module attributes {ditto.stage = "cast"} {
  func.func @engine(%x: tensor<4xf32, #ditto.fxp<64, 18>>, %y: tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<64, 18>> {
    %0 = stablehlo.multiply %x, %y : tensor<4xf32, #ditto.fxp<64, 18>>
    %1 = stablehlo.sine %0 : tensor<4xf32, #ditto.fxp<64, 18>>
    %2 = stablehlo.multiply %1, %y : tensor<4xf32, #ditto.fxp<64, 18>>
    return %2 : tensor<4xf32, #ditto.fxp<64, 18>>
  }
}

// -----

// On a coarser grid x <= 1 is x < 1 and a unit: rounding the threshold to the nearest would make it x < 1.
// CHECK-LABEL: func.func @tie(
// CHECK-SAME:      %arg0: tensor<4xf32, #ditto.fxp<32, 14>>
// CHECK:         "ditto.less"(%{{.*}}) {ditto.beside, thresholds = array<i64: 16385>} : (tensor<4xf32, #ditto.fxp<{{[0-9]+}}, 14>>)
module attributes {ditto.stage = "cast"} {
  func.func @tie(%x: tensor<4xf32, #ditto.fxp<64, 18>> {ditto.range = array<f64: -3.0, 3.0>}) -> tensor<4xi1, #ditto.int<64>> {
    %0 = "ditto.less"(%x) {thresholds = array<i64: 262145>} : (tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xi1, #ditto.int<64>>
    return %0 : tensor<4xi1, #ditto.int<64>>
  }
}

// -----

// A table that is read by two large products is supplied at one scale, that of the product with less room: 10 integer
// bits leave 22 for both fractions, where 6 leave 26 for 12 and 14.
// CHECK-LABEL: func.func @table(
// CHECK-SAME:      %arg1: tensor<64x256xf32, #ditto.fxp<32, 13>>
// CHECK:         stablehlo.dot_general %{{.*}}, %{{.*}}, {{.*}}#ditto.fxp<31, 12>>, tensor<64x256xf32, #ditto.fxp<31, 13>>) -> tensor<4x256xf32, #ditto.fxp<20, 14>>
// CHECK:         %[[T:.*]] = stablehlo.transpose %arg1, dims = [1, 0] {ditto.beside} : (tensor<64x256xf32, #ditto.fxp<32, 13>>)
// CHECK:         stablehlo.dot_general %{{.*}}, %[[T]], {{.*}}#ditto.fxp<32, 9>>, tensor<256x64xf32, #ditto.fxp<32, 13>>) -> tensor<4x64xf32, #ditto.fxp<24, 14>>
module attributes {ditto.stage = "cast"} {
  func.func @table(%x: tensor<4x64xf32, #ditto.fxp<64, 18>> {ditto.range = array<f64: -3.0, 3.0>}, %w: tensor<64x256xf32, #ditto.fxp<64, 18>> {ditto.range = array<f64: -1.0, 1.0>}) -> tensor<4x64xf32, #ditto.fxp<64, 18>> {
    %0 = stablehlo.dot_general %x, %w, contracting_dims = [1] x [0] {ditto.range = array<f64: -5.0, 5.0>} : (tensor<4x64xf32, #ditto.fxp<64, 18>>, tensor<64x256xf32, #ditto.fxp<64, 18>>) -> tensor<4x256xf32, #ditto.fxp<64, 18>>
    %1 = stablehlo.transpose %w, dims = [1, 0] : (tensor<64x256xf32, #ditto.fxp<64, 18>>) -> tensor<256x64xf32, #ditto.fxp<64, 18>>
    %2 = stablehlo.dot_general %0, %1, contracting_dims = [1] x [0] {ditto.range = array<f64: -100.0, 100.0>} : (tensor<4x256xf32, #ditto.fxp<64, 18>>, tensor<256x64xf32, #ditto.fxp<64, 18>>) -> tensor<4x64xf32, #ditto.fxp<64, 18>>
    return %2 : tensor<4x64xf32, #ditto.fxp<64, 18>>
  }
}

// -----

// What is returned in place of an argument is as that argument is taken, whatever is done with it in between: the next
// run takes it without a cast. A slice and an update at public places are local.
// CHECK-LABEL: func.func @cache(
// CHECK-SAME:      %arg0: tensor<8x4xf32, #ditto.fxp<64, 15>>
// CHECK-SAME:      -> (tensor<8x4xf32, #ditto.fxp<64, 15>>, tensor<1x8xf32, #ditto.fxp<{{.*}}>>)
// CHECK:         %[[R:.*]] = stablehlo.multiply %{{.*}}, %{{.*}} {ditto.beside, {{.*}}
// CHECK:         %[[C:.*]] = stablehlo.dynamic_update_slice %arg0, %{{.*}}, %arg2, %{{.*}} {ditto.beside} : (tensor<8x4xf32, #ditto.fxp<64, 15>>, tensor<1x4xf32, #ditto.fxp<64, 15>>,
// CHECK:         return %[[C]], %{{.*}}
module attributes {ditto.stage = "cast"} {
  func.func @cache(%cache: tensor<8x4xf32, #ditto.fxp<64, 18>> {ditto.range = array<f64: -3.0, 3.0>, tf.aliasing_output = 0 : i32}, %x: tensor<1x4xf32, #ditto.fxp<64, 18>> {ditto.range = array<f64: -1.0, 1.0>}, %at: tensor<i32, #ditto.int<64>> {ditto.visibility = "public"}) -> (tensor<8x4xf32, #ditto.fxp<64, 18>>, tensor<1x8xf32, #ditto.fxp<64, 18>>) {
    %zero = stablehlo.constant dense<0> : tensor<i32, #ditto.int<64>>
    %row = stablehlo.multiply %x, %x {ditto.range = array<f64: 0.0, 1.0>} : tensor<1x4xf32, #ditto.fxp<64, 18>>
    %new = stablehlo.dynamic_update_slice %cache, %row, %at, %zero : (tensor<8x4xf32, #ditto.fxp<64, 18>>, tensor<1x4xf32, #ditto.fxp<64, 18>>, tensor<i32, #ditto.int<64>>, tensor<i32, #ditto.int<64>>) -> tensor<8x4xf32, #ditto.fxp<64, 18>>
    %scores = stablehlo.dot_general %x, %new, contracting_dims = [1] x [1] {ditto.range = array<f64: -5.0, 5.0>} : (tensor<1x4xf32, #ditto.fxp<64, 18>>, tensor<8x4xf32, #ditto.fxp<64, 18>>) -> tensor<1x8xf32, #ditto.fxp<64, 18>>
    return %new, %scores : tensor<8x4xf32, #ditto.fxp<64, 18>>, tensor<1x8xf32, #ditto.fxp<64, 18>>
  }
}

// -----

// What the engine would take in two encodings is supplied once.
// CHECK-LABEL: func.func @supplied_once(
// CHECK-SAME:      %arg0: tensor<4xf32, #ditto.fxp<64, 15>>
// CHECK:         stablehlo.multiply %[[X:.*]], %[[X]] {ditto.beside, {{.*}}
// CHECK-NOT:     %arg1
// CHECK:         return
module attributes {ditto.stage = "cast"} {
  func.func @supplied_once(%x: tensor<4xf32, #ditto.fxp<32, 10>> {ditto.range = array<f64: -1.0, 1.0>, ditto.input = 0 : i32}, %again: tensor<4xf32, #ditto.fxp<64, 18>> {ditto.range = array<f64: -1.0, 1.0>, ditto.input = 0 : i32}) -> tensor<4xf32, #ditto.fxp<64, 18>> {
    %0 = "ditto.upcast"(%x) : (tensor<4xf32, #ditto.fxp<32, 10>>) -> tensor<4xf32, #ditto.fxp<64, 18>>
    %1 = stablehlo.multiply %again, %0 {ditto.range = array<f64: 0.0, 1.0>} : tensor<4xf32, #ditto.fxp<64, 18>>
    return %1 : tensor<4xf32, #ditto.fxp<64, 18>>
  }
}

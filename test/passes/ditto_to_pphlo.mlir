// RUN: ditto-opt %s --split-input-file --ditto-to-pphlo='free-above=8' | filecheck %s
// RUN: ditto-opt %s --split-input-file --ditto-to-pphlo='free-above=-1' | filecheck %s --check-prefix=KEEP

// The lowering of each op is tested in test/spu.

// Types of calls and of regions now differ, so calls become `ditto.call`; values of @main keep their encodings.
// CHECK:       module attributes {ditto.stage = "lowered"}
// CHECK-LABEL: func.func @main(
// CHECK-SAME:    %arg0: tensor<4xf32, #ditto.fxp<64, 18>>
// CHECK-NEXT:    %[[R:.*]] = "ditto.call"(%arg0) {callee = @r0} : (tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<64, 18>>
// CHECK-NEXT:    return %[[R]]
// CHECK-LABEL: func.func private @r0(
// CHECK-SAME:    %arg0: tensor<4x!pphlo.secret<f32>>) -> tensor<4x!pphlo.secret<f32>>
// CHECK-SAME:    attributes {ditto.frac = 18 : i32, ditto.ring = 64 : i32}
// CHECK-NEXT:    %[[E:.*]] = "pphlo.exponential"(%arg0)
// CHECK-NEXT:    return %[[E]]
module attributes {ditto.stage = "outlined"} {
  func.func @main(%x: tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<64, 18>> {
    %0 = call @r0(%x) : (tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<64, 18>>
    return %0 : tensor<4xf32, #ditto.fxp<64, 18>>
  }
  func.func private @r0(%x: tensor<4xf32, #ditto.fxp<64, 18>> {ditto.visibility = "secret"}) -> tensor<4xf32, #ditto.fxp<64, 18>> attributes {ditto.frac = 18 : i32, ditto.ring = 64 : i32} {
    %0 = stablehlo.exponential %x : tensor<4xf32, #ditto.fxp<64, 18>>
    return %0 : tensor<4xf32, #ditto.fxp<64, 18>>
  }
}

// -----

// What has more elements than the option says is freed after its last use; what is returned is not.
// CHECK-LABEL: func.func @frees_large(
// CHECK:         %[[A:.*]] = "pphlo.negate"(%arg0)
// CHECK-NEXT:    %[[B:.*]] = "pphlo.abs"(%[[A]])
// CHECK-NEXT:    "pphlo.free"(%[[A]])
// CHECK-NEXT:    return %[[B]]
// KEEP-LABEL:  func.func @frees_large(
// KEEP-NOT:      "pphlo.free"
module attributes {ditto.stage = "outlined"} {
  func.func @frees_large(%x: tensor<9xf32, #ditto.fxp<64, 18>>) -> tensor<9xf32, #ditto.fxp<64, 18>> {
    %0 = call @r0(%x) : (tensor<9xf32, #ditto.fxp<64, 18>>) -> tensor<9xf32, #ditto.fxp<64, 18>>
    return %0 : tensor<9xf32, #ditto.fxp<64, 18>>
  }
  func.func private @r0(%x: tensor<9xf32, #ditto.fxp<64, 18>> {ditto.visibility = "secret"}) -> tensor<9xf32, #ditto.fxp<64, 18>> attributes {ditto.frac = 18 : i32, ditto.ring = 64 : i32} {
    %0 = stablehlo.negate %x : tensor<9xf32, #ditto.fxp<64, 18>>
    %1 = stablehlo.abs %0 : tensor<9xf32, #ditto.fxp<64, 18>>
    return %1 : tensor<9xf32, #ditto.fxp<64, 18>>
  }
}

// -----

// Near miss: as many elements as the option says.
// CHECK-LABEL: func.func @keeps_small(
// CHECK-NOT:     "pphlo.free"
module attributes {ditto.stage = "outlined"} {
  func.func @keeps_small(%x: tensor<8xf32, #ditto.fxp<64, 18>>) -> tensor<8xf32, #ditto.fxp<64, 18>> {
    %0 = call @r0(%x) : (tensor<8xf32, #ditto.fxp<64, 18>>) -> tensor<8xf32, #ditto.fxp<64, 18>>
    return %0 : tensor<8xf32, #ditto.fxp<64, 18>>
  }
  func.func private @r0(%x: tensor<8xf32, #ditto.fxp<64, 18>> {ditto.visibility = "secret"}) -> tensor<8xf32, #ditto.fxp<64, 18>> attributes {ditto.frac = 18 : i32, ditto.ring = 64 : i32} {
    %0 = stablehlo.negate %x : tensor<8xf32, #ditto.fxp<64, 18>>
    %1 = stablehlo.abs %0 : tensor<8xf32, #ditto.fxp<64, 18>>
    return %1 : tensor<8xf32, #ditto.fxp<64, 18>>
  }
}

// RUN: ditto-opt %s --split-input-file --ditto-check-domains --remarks --verify-diagnostics -o /dev/null

// One remark for all of which too little is known; nothing of what is inside, or has no domain to leave.
// expected-remark @+2 {{[ditto-check-domains] 'func.func' op: functions that are right for some arguments only, of which too little is known (2 x stablehlo.exponential: between -inf and 18.02; 1 x stablehlo.rsqrt: between 3.815e-06 and 1.311e+05; 1 x stablehlo.divide: between -3.352e+07 and 3.352e+07, the divisor's magnitude from 3.81e-06 on, the divisor's below 2.621e+05, the result's below 6.704e+07): calibrate}}
module attributes {ditto.stage = "cast"} {
  func.func @unknown_arguments(%x: tensor<4xf32, #ditto.fxp<64, 18>>, %m: tensor<4xf32, #ditto.fxp<64, 18>> {ditto.range = array<f64: 0.5, 9.0>}) -> (tensor<4xf32, #ditto.fxp<64, 18>>, tensor<4xf32, #ditto.fxp<64, 18>>, tensor<4xf32, #ditto.fxp<64, 18>>, tensor<4xf32, #ditto.fxp<64, 18>>) {
    %0 = stablehlo.exponential %x : tensor<4xf32, #ditto.fxp<64, 18>>
    %1 = stablehlo.exponential %0 : tensor<4xf32, #ditto.fxp<64, 18>>
    %2 = stablehlo.rsqrt %1 : tensor<4xf32, #ditto.fxp<64, 18>>
    %3 = stablehlo.divide %2, %x : tensor<4xf32, #ditto.fxp<64, 18>>
    %4 = stablehlo.log %m : tensor<4xf32, #ditto.fxp<64, 18>>
    %5 = stablehlo.divide %m, %m : tensor<4xf32, #ditto.fxp<64, 18>>
    %6 = stablehlo.logistic %x : tensor<4xf32, #ditto.fxp<64, 18>>
    return %3, %4, %5, %6 : tensor<4xf32, #ditto.fxp<64, 18>>, tensor<4xf32, #ditto.fxp<64, 18>>, tensor<4xf32, #ditto.fxp<64, 18>>, tensor<4xf32, #ditto.fxp<64, 18>>
  }
}

// -----

// x - max(x) is proved to be negative, so softmax's exponential is right; what is public is no matter.
module attributes {ditto.stage = "cast"} {
  func.func @proved_arguments(%x: tensor<2x4xf32, #ditto.fxp<64, 18>>, %p: tensor<4xf32, #ditto.fxp<64, 18>> {ditto.visibility = "public"}) -> (tensor<2x4xf32, #ditto.fxp<64, 18>>, tensor<4xf32, #ditto.fxp<64, 18>>) {
    %lowest = stablehlo.constant dense<0xFF800000> : tensor<f32, #ditto.fxp<64, 18>>
    %0 = "stablehlo.reduce"(%x, %lowest) <{dimensions = array<i64: 1>}> ({
    ^bb0(%a: tensor<f32, #ditto.fxp<64, 18>>, %b: tensor<f32, #ditto.fxp<64, 18>>):
      %m = stablehlo.maximum %a, %b : tensor<f32, #ditto.fxp<64, 18>>
      stablehlo.return %m : tensor<f32, #ditto.fxp<64, 18>>
    }) : (tensor<2x4xf32, #ditto.fxp<64, 18>>, tensor<f32, #ditto.fxp<64, 18>>) -> tensor<2xf32, #ditto.fxp<64, 18>>
    %1 = stablehlo.broadcast_in_dim %0, dims = [0] : (tensor<2xf32, #ditto.fxp<64, 18>>) -> tensor<2x4xf32, #ditto.fxp<64, 18>>
    %2 = stablehlo.subtract %x, %1 : tensor<2x4xf32, #ditto.fxp<64, 18>>
    %3 = stablehlo.exponential %2 : tensor<2x4xf32, #ditto.fxp<64, 18>>
    %4 = stablehlo.rsqrt %p : tensor<4xf32, #ditto.fxp<64, 18>>
    return %3, %4 : tensor<2x4xf32, #ditto.fxp<64, 18>>, tensor<4xf32, #ditto.fxp<64, 18>>
  }
}

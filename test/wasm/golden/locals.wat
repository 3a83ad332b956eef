(module
 (type $0 (func (param i64 f64) (result i64)))
 (export "mix" (func $0))
 (func $0 (type $0) (param $0 i64) (param $1 f64) (result i64)
  (local $2 i64)
  (local $3 i64)
  (local $4 f64)
  (local $5 v128)
  (local $6 i64)
  (local $7 i32)
  (local.set $3
   (i64.add
    (local.get $0)
    (i64.const 1)
   )
  )
  (local.set $6
   (i64.mul
    (local.get $3)
    (local.get $3)
   )
  )
  (local.set $2
   (i64.sub
    (local.get $6)
    (local.get $3)
   )
  )
  (local.set $6
   (i64.shl
    (local.get $3)
    (i64.const 2)
   )
  )
  (local.set $2
   (i64.xor
    (local.get $2)
    (local.get $6)
   )
  )
  (local.set $6
   (i64.add
    (local.get $2)
    (local.get $0)
   )
  )
  (local.set $7
   (i64.eqz
    (local.get $6)
   )
  )
  (if
   (local.get $7)
   (then
    (return
     (i64.const -1)
    )
   )
  )
  (local.set $2
   (local.get $6)
  )
  (local.get $2)
 )
)

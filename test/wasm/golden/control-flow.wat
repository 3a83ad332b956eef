(module
 (type $0 (func (param i64 i64) (result i64)))
 (type $1 (func (param i32) (result i32)))
 (export "gcd" (func $0))
 (export "factor" (func $1))
 (func $0 (type $0) (param $0 i64) (param $1 i64) (result i64)
  (local $2 i64)
  (block $block
   (loop $label
    (br_if $block
     (i64.eqz
      (local.get $1)
     )
    )
    (local.set $2
     (i64.rem_u
      (local.get $0)
      (local.get $1)
     )
    )
    (local.set $0
     (local.get $1)
    )
    (local.set $1
     (local.get $2)
    )
    (br $label)
   )
  )
  (local.get $0)
 )
 (func $1 (type $1) (param $0 i32) (result i32)
  (local $1 i32)
  (local $2 i32)
  (local.set $1
   (i32.const 2)
  )
  (block $block
   (loop $label1
    (if
     (i32.ge_u
      (i32.mul
       (local.get $1)
       (local.get $1)
      )
      (i32.add
       (local.get $0)
       (i32.const 1)
      )
     )
     (then
      (br $block)
     )
    )
    (local.set $2
     (local.get $1)
    )
    (loop $label
     (if
      (i32.eq
       (i32.mul
        (local.get $1)
        (local.get $2)
       )
       (local.get $0)
      )
      (then
       (return
        (local.get $1)
       )
      )
      (else
       (local.set $2
        (i32.add
         (local.get $2)
         (i32.const 1)
        )
       )
      )
     )
     (br_if $label
      (i32.le_u
       (i32.mul
        (local.get $1)
        (local.get $2)
       )
       (local.get $0)
      )
     )
     (local.set $1
      (i32.add
       (local.get $1)
       (i32.const 1)
      )
     )
     (br $label1)
    )
   )
  )
  (i32.const 0)
 )
)

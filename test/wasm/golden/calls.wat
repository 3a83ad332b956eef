(module
 (type $0 (func (param i64 i64) (result i64)))
 (type $1 (func (param i32 i64)))
 (type $2 (func (param i64) (result i64)))
 (type $3 (func (param i32 i64 i64) (result i64)))
 (import "env" "memory" (memory $mimport$0 1 1))
 (import "env" "table" (table $timport$0 0 funcref))
 (import "env" "log" (func $fimport$0 (type $1) (param i32 i64)))
 (export "sum" (func $0))
 (export "logged" (func $1))
 (export "indirect" (func $2))
 (export "tail" (func $3))
 (func $0 (type $0) (param $0 i64) (param $1 i64) (result i64)
  (i64.add
   (local.get $0)
   (local.get $1)
  )
 )
 (func $1 (type $2) (param $0 i64) (result i64)
  (call $fimport$0
   (i32.const 1)
   (local.get $0)
  )
  (local.set $0
   (call $0
    (local.get $0)
    (i64.const 1)
   )
  )
  (call $0
   (local.get $0)
   (call $0
    (i64.const 2)
    (i64.const 3)
   )
  )
 )
 (func $2 (type $3) (param $0 i32) (param $1 i64) (param $2 i64) (result i64)
  (local $3 i64)
  (local.set $3
   (call_indirect $timport$0 (type $0)
    (local.get $1)
    (local.get $2)
    (local.get $0)
   )
  )
  (i64.store align=1
   (i32.const 8)
   (local.get $3)
  )
  (local.get $3)
 )
 (func $3 (type $0) (param $0 i64) (param $1 i64) (result i64)
  (if
   (i64.eqz
    (local.get $0)
   )
   (then
    (return
     (local.get $1)
    )
   )
  )
  (return_call_indirect $timport$0 (type $0)
   (i64.sub
    (local.get $0)
    (i64.const 1)
   )
   (i64.add
    (local.get $1)
    (local.get $0)
   )
   (i32.const 0)
  )
 )
)

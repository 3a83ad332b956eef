(module
 (type $0 (func (param i32) (result i32)))
 (import "env" "slow" (func $fimport$0 (type $0) (param i32) (result i32)))
 (export "first" (func $0))
 (export "plain" (func $1))
 (export "second" (func $2))
 (func $0 (type $0) (param $0 i32) (result i32)
  (@metadata.code.branch_hint "\00")
  (if
   (i32.gt_u
    (local.get $0)
    (i32.const 100)
   )
   (then
    (return
     (call $fimport$0
      (local.get $0)
     )
    )
   )
  )
  (local.get $0)
 )
 (func $1 (type $0) (param $0 i32) (result i32)
  (local.get $0)
 )
 (func $2 (type $0) (param $0 i32) (result i32)
  (local $1 i32)
  (local.set $1
   (i32.add
    (local.get $0)
    (i32.const 1)
   )
  )
  (block $block
   (@metadata.code.branch_hint "\01")
   (br_if $block
    (i32.lt_s
     (local.get $1)
     (i32.const 0)
    )
   )
   (@metadata.code.branch_hint "\00")
   (if
    (i32.eqz
     (local.get $1)
    )
    (then
     (unreachable)
    )
   )
   (br_if $block
    (i32.eq
     (local.get $1)
     (i32.const 7)
    )
   )
  )
  (local.get $1)
 )
)

(module
 (type $0 (func (param i32) (result i32)))
 (export "walk" (func $0))
 (func $0 (type $0) (param $0 i32) (result i32)
  (local $1 i32)
  (block $block4
   (loop $label
    (block $block3
     (block $block2
      (block $block1
       (block $block
        (br_table $block $block1 $block2 $block3
         (local.get $0)
        )
       )
       (local.set $1
        (i32.add
         (local.get $1)
         (i32.const 1)
        )
       )
       (local.set $0
        (i32.const 2)
       )
       (br $label)
      )
      (local.set $1
       (i32.add
        (local.get $1)
        (i32.const 10)
       )
      )
      (br $block4)
     )
     (local.set $1
      (i32.add
       (local.get $1)
       (i32.const 100)
      )
     )
     (br $block4)
    )
    (local.set $1
     (i32.add
      (local.get $1)
      (i32.const 1000)
     )
    )
    (local.set $0
     (i32.const 0)
    )
    (br $label)
   )
  )
  (local.get $1)
 )
)

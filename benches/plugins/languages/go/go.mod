module example.com/sensitive

go 1.24

require github.com/tripline/tripline/sdk/go v0.0.0

replace github.com/tripline/tripline/sdk/go => ../../../../sdk/go

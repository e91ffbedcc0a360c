Package: hello
Version: 2.10-3
Architecture: amd64
Multi-Arch: no
Maintainer: Nobody <nobody@example.org>
Description: test — hello
 hello.
Package: tzdata
Version: 1:2024a-0+deb12u1
Architecture: all
Multi-Arch: foreign
Maintainer: Nobody <nobody@example.org>
Description: test — tzdata
 tzdata.

once::tests!(a b c d e f g h);

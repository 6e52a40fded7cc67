once::tests!(i j k l m n o p);

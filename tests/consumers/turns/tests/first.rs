turns::turns!(firsta firstb firstc firstd);

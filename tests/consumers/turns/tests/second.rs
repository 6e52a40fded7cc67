turns::turns!(seconda secondb secondc secondd);

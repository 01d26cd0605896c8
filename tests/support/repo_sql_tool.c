// SPDX-License-Identifier: Apache-2.0
// metrics-api's statements, one a line.
#include "metrics-api/repo_sql_pg.h"

#include <stdio.h>

int main(void)
{
    for (enum repo_statement st = 0; st < REPO_STATEMENTS; st++)
        puts(repo_sql(st));
    return 0;
}

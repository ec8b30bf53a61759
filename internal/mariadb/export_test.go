package mariadb

// Judge is Check of a server with these settings.
func Judge(variables map[string]string, needs Needs) (refusal *Warning, warnings []Warning) {
	s := server{variables: variables, needs: needs}
	return s.refusal(), s.warnings()
}

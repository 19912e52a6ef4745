"""The tracker: joins decisions, results, delivery reports and checks of one verification into its outcome."""

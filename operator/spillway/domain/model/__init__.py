"""Names, records and facts about the cluster that all features share, each derived once."""

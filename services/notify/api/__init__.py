"""HTTP of notify: whereabouts, alerts and their roll call, answers by link, SMS replies, webhooks of providers."""

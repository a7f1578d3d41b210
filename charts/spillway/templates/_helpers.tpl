{{/* One install a cluster: names do not depend on the release's name. */}}
{{- define "spillway.name" -}}spillway{{- end -}}
{{- define "spillway.webhookService" -}}spillway-webhook{{- end -}}
{{- define "spillway.webhookSecret" -}}spillway-webhook-tls{{- end -}}
{{- define "spillway.readerName" -}}spillway-reader{{- end -}}
{{- define "spillway.reportName" -}}spillway-report{{- end -}}
{{- define "spillway.scrapeName" -}}spillway-scrape{{- end -}}
{{- define "spillway.restoreName" -}}spillway-restore{{- end -}}

{{- define "spillway.selectorLabels" -}}
app.kubernetes.io/name: spillway
app.kubernetes.io/component: operator
{{- end -}}

{{- define "spillway.labels" -}}
app.kubernetes.io/name: spillway
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "spillway.serviceAccount" -}}
{{ .Values.serviceAccount.name | default (include "spillway.name" .) }}
{{- end -}}

{{/* The PriorityClass of the operator's pods; empty for none. */}}
{{- define "spillway.priorityClass" -}}
{{- if .Values.priorityClassName -}}
{{ .Values.priorityClassName }}
{{- else if .Values.priorityClass.create -}}
{{ .Values.priorityClass.name }}
{{- end -}}
{{- end -}}

{{- define "spillway.image" -}}
{{- if not .Values.image.repository }}
{{- fail "image.repository: set it to the repository of the image that you have built and pushed, for example --set image.repository=registry.example.com/spillway-operator; no image is published, and docs/how-to/install.md says how to build one" }}
{{- end }}
{{- if regexMatch "@|:[^/]*$" .Values.image.repository }}
{{- fail (printf "image.repository: give the tag in image.tag and the digest in image.digest, not in %s" .Values.image.repository) }}
{{- end }}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{/* The "restricted" pod security standard, and nothing to write on. */}}
{{- define "spillway.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end -}}
{{- define "spillway.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/* Where the API server finds a webhook: dict "root" $ "path" "/mutate/…" */}}
{{- define "spillway.clientConfig" -}}
service:
  name: {{ include "spillway.webhookService" .root }}
  namespace: {{ .root.Release.Namespace }}
  path: {{ .path }}
  port: {{ .root.Values.webhook.service.port }}
{{- end -}}

{{/* Users' namespaces only: the operator's own pods must start while it is down, and the system's namespaces are not governed. */}}
{{- define "spillway.namespaceSelector" -}}
matchExpressions:
- key: kubernetes.io/metadata.name
  operator: NotIn
  values:
  {{- range prepend .Values.webhook.excludedNamespaces .Release.Namespace | uniq }}
  - {{ . }}
  {{- end }}
{{- end -}}

{{- define "spillway.webhookAnnotations" -}}
{{- if eq .Values.webhook.certificate.source "certManager" }}
annotations:
  cert-manager.io/inject-ca-from: {{ .Release.Namespace }}/{{ include "spillway.webhookService" . }}
{{- end }}
{{- end -}}

{{/* Whether the chart makes the token that Prometheus sends, by service: a ServiceMonitor that sends one, and no Secret of the user's with it. */}}
{{- define "spillway.scrapeMetrics" -}}
{{- $metrics := .Values.metrics -}}
{{- range list $metrics.serviceMonitor $metrics.podMonitor }}
{{- if and $metrics.authorization .enabled (not .tokenSecret.name) -}}true{{- end -}}
{{- end -}}
{{- end -}}
{{- define "spillway.scrapeKubelets" -}}
{{- with .Values.metrics.virtualNodes }}{{ if and .enabled (not .tokenSecret.name) -}}true{{- end }}{{ end -}}
{{- end -}}

{{/* The token that Prometheus sends: dict "secret" the user's Secret "root" $ */}}
{{- define "spillway.scrapeAuthorization" -}}
authorization:
  type: Bearer
  credentials:
    name: {{ .secret.name | default (include "spillway.scrapeName" .root) }}
    key: {{ ternary .secret.key "token" (ne .secret.name "") }}
{{- end -}}

{{/* Whether a hook is rendered: dict "hook" its values. `helm template` cannot look anything up, and what it prints may be applied with kubectl, which would run the hooks at once: the restore Job stops the operator. */}}
{{- define "spillway.hook" -}}
{{- if and .hook.enabled (or (eq .hook.render "Always") (lookup "v1" "Namespace" "" "default")) -}}true{{- end -}}
{{- end -}}
{{- define "spillway.restoreHook" -}}
{{- include "spillway.hook" (dict "hook" .Values.restoreOnUninstall) -}}
{{- end -}}

{{/* The annotations of what `helm test` needs, by their weight: nothing of it stays. */}}
{{- define "spillway.testHook" -}}
helm.sh/hook: test
helm.sh/hook-weight: {{ . | quote }}
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded,hook-failed
{{- end -}}

{{/* The right to read which authorities kube-apiserver trusts for clients, and in which headers it says who calls.
Called with the release's context and the purpose, which ends the RoleBinding's name. */}}
{{- define "spillway.readsAuthentication" -}}
{{- $purpose := index . 1 }}
{{- with index . 0 -}}
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: {{ include "spillway.name" . }}-{{ $purpose }}
  namespace: kube-system
  labels:
    {{- include "spillway.labels" . | nindent 4 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: extension-apiserver-authentication-reader
subjects:
- kind: ServiceAccount
  name: {{ include "spillway.serviceAccount" . }}
  namespace: {{ .Release.Namespace }}
{{- end }}
{{- end -}}

{{- define "thoracle.name" -}}
{{ .Values.fullnameOverride | default (ternary .Release.Name (printf "%s-%s" .Release.Name (.Values.nameOverride | default "thoracle")) (contains (.Values.nameOverride | default "thoracle") .Release.Name)) | trunc 40 | trimSuffix "-" }}
{{- end }}

{{- define "thoracle.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{/* What a Service or a Deployment finds its pods by; never to be changed. (dict "top" $ "component" "worker") */}}
{{- define "thoracle.selector" -}}
app.kubernetes.io/name: thoracle
app.kubernetes.io/instance: {{ .top.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "thoracle.labels" -}}
{{ include "thoracle.selector" . }}
app.kubernetes.io/version: {{ .top.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .top.Release.Service }}
helm.sh/chart: {{ .top.Chart.Name }}-{{ .top.Chart.Version }}
{{- end }}

{{/* Which component receives, and which answers the API. */}}
{{- define "thoracle.receiving" -}}
{{ ternary "single" "receiver" (eq .Values.mode "single") }}
{{- end }}
{{- define "thoracle.answering" -}}
{{ ternary "single" "api" (eq .Values.mode "single") }}
{{- end }}
